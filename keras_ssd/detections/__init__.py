"""`Detections`: what was found in one image, as a user holds it."""

from keras_ssd.detections.checks import class_ids_of as class_ids_of
from keras_ssd.detections.value import Detection as Detection
from keras_ssd.detections.value import Detections as Detections
