"""`Detections`: the objects found in one image."""

from keras_ssd.detections.checks import class_ids_of as class_ids_of
from keras_ssd.detections.value import Detection as Detection
from keras_ssd.detections.value import Detections as Detections
