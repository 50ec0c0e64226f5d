"""Small objects on large images: overlapping tiles beside the whole image, and one box for each object."""

from keras_ssd.tiling.grid import Tiling as Tiling
