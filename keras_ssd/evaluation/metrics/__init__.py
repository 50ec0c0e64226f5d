"""The measures that papers use, by name: `voc07`, `voc12`, `coco`, `ilsvrc`."""

from keras_ssd.evaluation.metrics.measuring import MEASURES as MEASURES
from keras_ssd.evaluation.metrics.measuring import measure as measure
from keras_ssd.evaluation.metrics.rules import RULES as RULES
from keras_ssd.evaluation.metrics.rules import Rule as Rule
