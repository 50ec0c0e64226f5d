"""Builders of Caffe's layer types, a file a family; importing this registers them all."""

from keras_ssd.importers.caffe.kinds import convolution as convolution
