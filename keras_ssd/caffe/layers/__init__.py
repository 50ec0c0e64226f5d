"""Keras layers that compute as Caffe does; they are public in `keras_ssd.layers`."""
