"""A detector as an ONNX file.

The layers are walked and written one by one, channels first. Keras's own `model.export(format="onnx")` needs another
converter package on each backend, writes other graphs on each, and leaves dozens of transpositions and unnamed outputs.
"""

from keras_ssd.exporters.model_graph import ExportError as ExportError
from keras_ssd.exporters.onnx.checking import OnnxCheck as OnnxCheck
from keras_ssd.exporters.onnx.checking import check_onnx as check_onnx
from keras_ssd.exporters.onnx.exporting import to_onnx as to_onnx
