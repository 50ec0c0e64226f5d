"""Foreign networks -> models of this package."""

from keras_ssd.importers.caffe import from_caffe as from_caffe
