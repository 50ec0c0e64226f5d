"""A detector behind HTTP: images in, JSON out, see `keras-ssd serve`."""
