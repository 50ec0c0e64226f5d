"""Keras layers of SSD: reusable in any model, saved and loaded without `custom_objects`."""

from keras_ssd.layers.anchor_boxes import AnchorBoxes as AnchorBoxes
from keras_ssd.layers.decode_detections import DecodeDetections as DecodeDetections
from keras_ssd.layers.l2_normalization import L2Normalization as L2Normalization
from keras_ssd.layers.lowest_padding import LowestPadding2D as LowestPadding2D
