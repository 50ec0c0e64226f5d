"""Training: optimizers and schedules, and the trainer behind `keras-ssd train`."""

from keras_ssd.training.caffe_sgd import CaffeSGD as CaffeSGD
