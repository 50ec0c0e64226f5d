"""Caffe nets as functional Keras models, without Caffe."""

from keras_ssd.caffe.importer.blobs import Blob as Blob
from keras_ssd.caffe.importer.building import Step as Step
from keras_ssd.caffe.importer.building import Stored as Stored
from keras_ssd.caffe.importer.importing import from_caffe as from_caffe
from keras_ssd.caffe.importer.report import ImportReport as ImportReport
