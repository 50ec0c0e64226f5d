"""Caffe's files, without Caffe and without protobuf: the text prototxt and the binary caffemodel."""

from keras_ssd.formats.caffe.net import CaffeFileError as CaffeFileError
from keras_ssd.formats.caffe.net import CaffeLayer as CaffeLayer
from keras_ssd.formats.caffe.net import CaffeNet as CaffeNet
from keras_ssd.formats.caffe.net import Settings as Settings
from keras_ssd.formats.caffe.text import parse_prototxt as parse_prototxt
from keras_ssd.formats.caffe.text import read_prototxt as read_prototxt
