"""Images of every kind in one form, (H, W, 3) RGB uint8.

Other code relies on that form: anything unusual about an image (grey, transparent, rotated by a camera, 16 bits deep,
broken, far too large) is handled here, with the image's name in the error.
"""

from keras_ssd.images.endings import has_image_ending as has_image_ending
from keras_ssd.images.endings import image_endings as image_endings
from keras_ssd.images.endings import is_image_name as is_image_name
from keras_ssd.images.errors import ImageError as ImageError
from keras_ssd.images.errors import ImagesBelowError as ImagesBelowError
from keras_ssd.images.errors import ImageTooLargeError as ImageTooLargeError
from keras_ssd.images.errors import describe as describe
from keras_ssd.images.folders import images_below as images_below
from keras_ssd.images.reading import MAX_PIXELS as MAX_PIXELS
from keras_ssd.images.reading import check_image as check_image
from keras_ssd.images.reading import is_url as is_url
from keras_ssd.images.reading import read_image as read_image
from keras_ssd.images.resizing import resize_bilinear as resize_bilinear
from keras_ssd.images.sources import Source as Source
from keras_ssd.images.sources import expand_sources as expand_sources
from keras_ssd.images.sources import split_sources as split_sources
from keras_ssd.images.writing import write_image as write_image
