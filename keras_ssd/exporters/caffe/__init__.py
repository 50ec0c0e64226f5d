"""Models as Caffe nets, without Caffe."""

from keras_ssd.exporters.caffe.exporting import to_caffe as to_caffe
from keras_ssd.exporters.caffe.report import CaffeExport as CaffeExport
from keras_ssd.exporters.model_graph import ExportError as ExportError
