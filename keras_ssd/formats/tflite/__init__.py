"""TensorFlow Lite files: flatbuffers -> a graph with its weights, and the SSD in it. Needs no TensorFlow."""

from keras_ssd.formats.tflite.model_file import Operator as Operator
from keras_ssd.formats.tflite.model_file import TFLiteGraph as TFLiteGraph
from keras_ssd.formats.tflite.model_file import read_tflite as read_tflite
from keras_ssd.formats.tflite.ssd_mobilenet import read_tflite_arrays as read_tflite_arrays
from keras_ssd.formats.tflite.tensors import Quantization as Quantization
from keras_ssd.formats.tflite.tensors import Tensor as Tensor
