"""Keras on its backend: what every model runs on, and what `auto` takes where nothing else serves."""

from keras_ssd.engines.engine import Engine

ENGINE = Engine("keras", place=100)
