"""Networks that compute feature maps. Each is a functional `keras.Model` whose layers can be tapped by name."""

from keras_ssd.backbones.blocks import ConvRow as ConvRow
from keras_ssd.backbones.blocks import ConvStyle as ConvStyle
from keras_ssd.backbones.blocks import SeparableRow as SeparableRow
from keras_ssd.backbones.families import backbone_names as backbone_names
from keras_ssd.backbones.families import named as named
from keras_ssd.backbones.resolving import prepared as prepared
from keras_ssd.backbones.ssd7 import ssd7_body as ssd7_body
from keras_ssd.backbones.taps import FeatureMap as FeatureMap
from keras_ssd.backbones.taps import feature_maps as feature_maps
from keras_ssd.backbones.taps import possible_taps as possible_taps
from keras_ssd.backbones.vgg16 import vgg16 as vgg16
