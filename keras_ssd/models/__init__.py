"""Models: the generic `ssd`, the original architectures, and opening what was saved."""

from keras_ssd.models.composing import ssd as ssd
from keras_ssd.models.decoder import with_decoder as with_decoder
from keras_ssd.models.extras import Extra as Extra
from keras_ssd.models.heads import Tap as Tap
from keras_ssd.models.mobilenet_ssd import mobilenet_ssd as mobilenet_ssd
from keras_ssd.models.model import SSD as SSD
from keras_ssd.models.reanchoring import with_anchors as with_anchors
from keras_ssd.models.reclassing import with_classes as with_classes
from keras_ssd.models.saved import load as load
from keras_ssd.models.ssd7_model import ssd7 as ssd7
from keras_ssd.models.ssd_mobilenet import ssd_mobilenet_v1 as ssd_mobilenet_v1
from keras_ssd.models.ssd_small import ssd_small as ssd_small
from keras_ssd.models.ssdlite import ssdlite320 as ssdlite320
from keras_ssd.models.vgg_ssd import ssd300 as ssd300
from keras_ssd.models.vgg_ssd import ssd512 as ssd512
