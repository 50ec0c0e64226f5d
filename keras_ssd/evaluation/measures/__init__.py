"""The measures that papers use, by name: `voc07`, `voc12`, `coco`, `ilsvrc`."""

from keras_ssd.evaluation.measures.measuring import MEASURES as MEASURES
from keras_ssd.evaluation.measures.measuring import measure as measure
from keras_ssd.evaluation.measures.rules import RULES as RULES
from keras_ssd.evaluation.measures.rules import Rule as Rule
