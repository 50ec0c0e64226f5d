"""Builders of Caffe's layer types, one module per family; importing this package registers them all."""

from keras_ssd.caffe.importer.kinds import activations as activations
from keras_ssd.caffe.importer.kinds import arithmetic as arithmetic
from keras_ssd.caffe.importer.kinds import convolution as convolution
from keras_ssd.caffe.importer.kinds import normalization as normalization
from keras_ssd.caffe.importer.kinds import pooling as pooling
from keras_ssd.caffe.importer.kinds import resampling as resampling
from keras_ssd.caffe.importer.kinds import shapes as shapes
