"""Images with boxes: reading and writing datasets, checking, drawing and caching them."""

from keras_ssd.data import augment as augment
from keras_ssd.data.annotation import Annotation as Annotation
from keras_ssd.data.batches import Batches as Batches
from keras_ssd.data.batches import batches as batches
from keras_ssd.data.cache import cached as cached
from keras_ssd.data.checking import Checked as Checked
from keras_ssd.data.checking import check as check
from keras_ssd.data.contact_sheet import contact_sheet as contact_sheet
from keras_ssd.data.dataset import Dataset as Dataset
from keras_ssd.data.dictionaries import from_dictionaries as from_dictionaries
from keras_ssd.data.dictionaries import to_dictionaries as to_dictionaries
from keras_ssd.data.formats.table import CsvLayout as CsvLayout
from keras_ssd.data.problems import DataError as DataError
from keras_ssd.data.problems import Problem as Problem
from keras_ssd.data.problems import Problems as Problems
from keras_ssd.data.reading import read as read
from keras_ssd.data.reading import read_splits as read_splits
from keras_ssd.data.sample import Sample as Sample
from keras_ssd.data.statistics import Statistics as Statistics
from keras_ssd.data.statistics import statistics as statistics
from keras_ssd.data.writing import Written as Written
from keras_ssd.data.writing import write as write
