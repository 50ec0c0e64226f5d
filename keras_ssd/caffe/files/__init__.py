"""Caffe's files, read and written without Caffe or protobuf: text prototxts and binary caffemodels."""

from keras_ssd.caffe.files.binary import looks_like_caffemodel as looks_like_caffemodel
from keras_ssd.caffe.files.binary import read_caffemodel as read_caffemodel
from keras_ssd.caffe.files.binary import read_mean as read_mean
from keras_ssd.caffe.files.identity import looks_like_prototxt as looks_like_prototxt
from keras_ssd.caffe.files.named import read_caffemodel_arrays as read_caffemodel_arrays
from keras_ssd.caffe.files.net import CaffeFileError as CaffeFileError
from keras_ssd.caffe.files.net import CaffeLayer as CaffeLayer
from keras_ssd.caffe.files.net import CaffeNet as CaffeNet
from keras_ssd.caffe.files.net import Settings as Settings
from keras_ssd.caffe.files.text import parse_prototxt as parse_prototxt
from keras_ssd.caffe.files.text import read_prototxt as read_prototxt
from keras_ssd.caffe.files.writing import format_prototxt as format_prototxt
from keras_ssd.caffe.files.writing import write_caffemodel as write_caffemodel
from keras_ssd.caffe.files.writing import write_prototxt as write_prototxt
