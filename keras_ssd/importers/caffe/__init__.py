"""Caffe nets as functional Keras models, without Caffe."""

from keras_ssd.importers.caffe.blobs import Blob as Blob
from keras_ssd.importers.caffe.building import Step as Step
from keras_ssd.importers.caffe.building import Stored as Stored
from keras_ssd.importers.caffe.importing import from_caffe as from_caffe
from keras_ssd.importers.caffe.report import ImportReport as ImportReport
