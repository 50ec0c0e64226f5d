"""Bytes of foreign weight files -> named arrays. Every file is hostile until checked."""

from keras_ssd.formats._hdf5 import written_hdf5 as written_hdf5
from keras_ssd.formats.chainercv_npz import read_chainercv_npz as read_chainercv_npz
from keras_ssd.formats.keras3_h5 import read_keras3_h5 as read_keras3_h5
from keras_ssd.formats.keras3_h5 import read_keras_archive as read_keras_archive
from keras_ssd.formats.keras_h5 import read_keras_h5 as read_keras_h5
from keras_ssd.formats.keras_h5_writing import write_keras_h5 as write_keras_h5
from keras_ssd.formats.named_arrays import AnchorBoxesConfig as AnchorBoxesConfig
from keras_ssd.formats.named_arrays import NamedArrays as NamedArrays
from keras_ssd.formats.named_arrays import PostProcessing as PostProcessing
from keras_ssd.formats.named_arrays import SavedArchitecture as SavedArchitecture
from keras_ssd.formats.named_arrays import WeightFileError as WeightFileError
from keras_ssd.formats.sniff import read as read
from keras_ssd.formats.sniff import sniff as sniff
