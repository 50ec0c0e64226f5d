"""Pictures of every kind in one form, (H, W, 3) RGB uint8.

Everything behind this package may rely on that form: what is odd about a picture (grey, transparent, turned
by a camera, sixteen bits deep, broken, far too large) ends here, with the picture's name in the error.
"""

from keras_ssd.pictures.endings import has_image_ending as has_image_ending
from keras_ssd.pictures.endings import image_endings as image_endings
from keras_ssd.pictures.endings import is_image_name as is_image_name
from keras_ssd.pictures.errors import ImagesBelowError as ImagesBelowError
from keras_ssd.pictures.errors import PictureError as PictureError
from keras_ssd.pictures.errors import PictureTooLargeError as PictureTooLargeError
from keras_ssd.pictures.errors import describe as describe
from keras_ssd.pictures.folders import images_below as images_below
from keras_ssd.pictures.reading import MAX_PIXELS as MAX_PIXELS
from keras_ssd.pictures.reading import check_picture as check_picture
from keras_ssd.pictures.reading import is_url as is_url
from keras_ssd.pictures.reading import read_picture as read_picture
from keras_ssd.pictures.resizing import resize_bilinear as resize_bilinear
from keras_ssd.pictures.sources import Source as Source
from keras_ssd.pictures.sources import expand_sources as expand_sources
from keras_ssd.pictures.sources import split_sources as split_sources
from keras_ssd.pictures.writing import write_picture as write_picture
