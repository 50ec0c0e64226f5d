"""Keras layers of SSD: reusable in any model, saved and loaded without `custom_objects`."""

from keras_ssd.caffe.layers.absolute_value import AbsoluteValue as AbsoluteValue
from keras_ssd.caffe.layers.channel_affine import ChannelAffine as ChannelAffine
from keras_ssd.caffe.layers.deconvolution import Deconvolution2D as Deconvolution2D
from keras_ssd.caffe.layers.grayscale import Grayscale as Grayscale
from keras_ssd.caffe.layers.local_response_normalization import LocalResponseNormalization as LocalResponseNormalization
from keras_ssd.caffe.layers.logarithm import Logarithm as Logarithm
from keras_ssd.caffe.layers.mean_variance_normalization import MeanVarianceNormalization as MeanVarianceNormalization
from keras_ssd.caffe.layers.padded_average_pooling import PaddedAveragePooling2D as PaddedAveragePooling2D
from keras_ssd.caffe.layers.power import Power as Power
from keras_ssd.caffe.layers.shuffle_channels import ShuffleChannels as ShuffleChannels
from keras_ssd.caffe.layers.slice_axis import SliceAxis as SliceAxis
from keras_ssd.caffe.layers.weighted_add import WeightedAdd as WeightedAdd
from keras_ssd.layers.anchor_boxes import AnchorBoxes as AnchorBoxes
from keras_ssd.layers.bilinear_resize import BilinearResize as BilinearResize
from keras_ssd.layers.class_columns import BoxesOfClasses as BoxesOfClasses
from keras_ssd.layers.class_columns import ClassColumns as ClassColumns
from keras_ssd.layers.decode_detections import DecodeDetections as DecodeDetections
from keras_ssd.layers.l2_normalization import L2Normalization as L2Normalization
from keras_ssd.layers.lowest_padding import LowestPadding2D as LowestPadding2D
from keras_ssd.layers.reverse_channels import ReverseChannels as ReverseChannels
