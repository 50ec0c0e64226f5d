"""Training: optimizers and schedules, and the trainer behind `keras-ssd train`."""

from keras_ssd.training.averaging import AveragingAdamW as AveragingAdamW
from keras_ssd.training.caffe_sgd import CaffeSGD as CaffeSGD
from keras_ssd.training.keeper import DivergedError as DivergedError
from keras_ssd.training.trainer import History as History
from keras_ssd.training.trainer import train as train
