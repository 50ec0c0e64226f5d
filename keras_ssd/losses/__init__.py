"""The loss of SSD: `SSDLoss`, its parts, and a metric that shows them during `fit`."""

from keras_ssd.losses.confidence import ConfidenceLoss as ConfidenceLoss
from keras_ssd.losses.localization import LOCALIZATIONS as LOCALIZATIONS
from keras_ssd.losses.localization import Coder as Coder
from keras_ssd.losses.localization import localization_loss as localization_loss
from keras_ssd.losses.metric import SSDLossMetric as SSDLossMetric
from keras_ssd.losses.mining import HardNegatives as HardNegatives
from keras_ssd.losses.mining import hardest as hardest
from keras_ssd.losses.ssd_loss import LossTerms as LossTerms
from keras_ssd.losses.ssd_loss import SSDLoss as SSDLoss
