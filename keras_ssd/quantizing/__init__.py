"""Quantisation-aware training: a network that computes, while it is trained, as its int8 file will."""

from keras_ssd.quantizing.fake_quantized import ENDING as ENDING
from keras_ssd.quantizing.fake_quantized import fake_quantized as fake_quantized
