"""Models as Caffe nets, without Caffe."""

from keras_ssd.caffe.exporter.exporting import to_caffe as to_caffe
from keras_ssd.caffe.exporter.report import CaffeExport as CaffeExport
from keras_ssd.exporters.model_graph import ExportError as ExportError
