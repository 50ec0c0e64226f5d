"""Augmentation: images and boxes changed together, at random and yet reproducible.

Everything is a block, `block(sample, rng)` gives a sample, and a `Chain` of blocks is a block. Blocks hold no state:
what happens follows from the generator that is handed over, and `sample_rng(seed, epoch, index)` makes one for each
sample, so neither the number of workers nor their order matters. `trace` says what was done and takes boxes back.
"""

from keras_ssd.data.augment.batch_sampler import CAFFE_SAMPLERS as CAFFE_SAMPLERS
from keras_ssd.data.augment.batch_sampler import BatchSampler as BatchSampler
from keras_ssd.data.augment.batch_sampler import PatchSampler as PatchSampler
from keras_ssd.data.augment.block import Block as Block
from keras_ssd.data.augment.block import Chain as Chain
from keras_ssd.data.augment.block import OneOf as OneOf
from keras_ssd.data.augment.block import sample_rng as sample_rng
from keras_ssd.data.augment.chains import CHAINS as CHAINS
from keras_ssd.data.augment.chains import named_chain as named_chain
from keras_ssd.data.augment.color import Brightness as Brightness
from keras_ssd.data.augment.color import ChannelOrder as ChannelOrder
from keras_ssd.data.augment.color import Contrast as Contrast
from keras_ssd.data.augment.color import Gamma as Gamma
from keras_ssd.data.augment.color import Grayscale as Grayscale
from keras_ssd.data.augment.color import HistogramEqualization as HistogramEqualization
from keras_ssd.data.augment.color import Hue as Hue
from keras_ssd.data.augment.color import JpegNoise as JpegNoise
from keras_ssd.data.augment.color import Saturation as Saturation
from keras_ssd.data.augment.color import distortion as distortion
from keras_ssd.data.augment.geometry import DropSmall as DropSmall
from keras_ssd.data.augment.geometry import Flip as Flip
from keras_ssd.data.augment.geometry import QuarterTurns as QuarterTurns
from keras_ssd.data.augment.geometry import Resize as Resize
from keras_ssd.data.augment.geometry import Translate as Translate
from keras_ssd.data.augment.geometry import Zoom as Zoom
from keras_ssd.data.augment.interpolation import INTERPOLATIONS as INTERPOLATIONS
from keras_ssd.data.augment.keras_layers import KerasLayer as KerasLayer
from keras_ssd.data.augment.labels import BoxRule as BoxRule
from keras_ssd.data.augment.labels import Labels as Labels
from keras_ssd.data.augment.labels import Need as Need
from keras_ssd.data.augment.mixing import MixUp as MixUp
from keras_ssd.data.augment.mixing import Mosaic as Mosaic
from keras_ssd.data.augment.patches import MEAN_RGB as MEAN_RGB
from keras_ssd.data.augment.patches import CropPad as CropPad
from keras_ssd.data.augment.patches import Expand as Expand
from keras_ssd.data.augment.patches import MaxCropToAspect as MaxCropToAspect
from keras_ssd.data.augment.patches import PadToAspect as PadToAspect
from keras_ssd.data.augment.patches import RandomPatch as RandomPatch
from keras_ssd.data.augment.steps import Track as Track
