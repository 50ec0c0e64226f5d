"""From raw predictions to detections: Caffe's DetectionOutput and its relatives, in graphs and on numpy arrays."""

from keras_ssd.decoding.arrays import decode_arrays as decode_arrays
from keras_ssd.decoding.arrays import decode_parts as decode_parts
from keras_ssd.decoding.arrays import detection_rows_arrays as detection_rows_arrays
from keras_ssd.decoding.calibration import ScoreCalibration as ScoreCalibration
from keras_ssd.decoding.calibration import fit_calibration as fit_calibration
from keras_ssd.decoding.confidence import Confidence as Confidence
from keras_ssd.decoding.confidence import confidence_of as confidence_of
from keras_ssd.decoding.options import DecodeOptions as DecodeOptions
from keras_ssd.decoding.tensors import decode_predictions as decode_predictions
from keras_ssd.decoding.tensors import detection_rows as detection_rows
