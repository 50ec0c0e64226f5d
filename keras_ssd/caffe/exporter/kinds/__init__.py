"""Writers of Keras layers, one module per family; importing this package registers them all."""

from keras_ssd.caffe.exporter.kinds import activations as activations
from keras_ssd.caffe.exporter.kinds import arithmetic as arithmetic
from keras_ssd.caffe.exporter.kinds import convolution as convolution
from keras_ssd.caffe.exporter.kinds import normalization as normalization
from keras_ssd.caffe.exporter.kinds import pooling as pooling
from keras_ssd.caffe.exporter.kinds import shapes as shapes
