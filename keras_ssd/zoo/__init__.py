"""The librarian of trained weights: what exists, where it comes from, and how it gets into the cache.

Importing this module reads no file and loads no network library.
"""

from keras_ssd.zoo.cache import cache_folder as cache_folder
from keras_ssd.zoo.cache import cached as cached
from keras_ssd.zoo.cache import network_of as network_of
from keras_ssd.zoo.cards import describe as describe
from keras_ssd.zoo.catalog import Architecture as Architecture
from keras_ssd.zoo.catalog import Format as Format
from keras_ssd.zoo.catalog import Preprocessing as Preprocessing
from keras_ssd.zoo.catalog import Result as Result
from keras_ssd.zoo.catalog import Source as Source
from keras_ssd.zoo.catalog import WeightSet as WeightSet
from keras_ssd.zoo.catalog import architectures as architectures
from keras_ssd.zoo.catalog import by_file_name as by_file_name
from keras_ssd.zoo.catalog import entries as entries
from keras_ssd.zoo.catalog import find as find
from keras_ssd.zoo.catalog import formats as formats
from keras_ssd.zoo.classes import label_ids as label_ids
from keras_ssd.zoo.classes import label_sets as label_sets
from keras_ssd.zoo.classes import labels as labels
from keras_ssd.zoo.classes import same_classes as same_classes
from keras_ssd.zoo.classes import slots as slots
from keras_ssd.zoo.download import download as download
from keras_ssd.zoo.errors import DownloadError as DownloadError
from keras_ssd.zoo.errors import IntegrityError as IntegrityError
from keras_ssd.zoo.fetch import Policy as Policy
