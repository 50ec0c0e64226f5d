"""Pictures with boxes: reading and writing datasets, checking, drawing and caching them."""

from keras_ssd.data.annotation import Annotation as Annotation
from keras_ssd.data.sample import Sample as Sample
