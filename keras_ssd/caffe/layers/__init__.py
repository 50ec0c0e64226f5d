"""Keras layers that compute as Caffe does; users find them in `keras_ssd.layers`."""
