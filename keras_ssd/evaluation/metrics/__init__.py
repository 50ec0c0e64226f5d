"""The measures of papers, each as a `Rule`: `voc07`, `voc12`, `coco`, `ilsvrc`."""

from keras_ssd.evaluation.metrics.rules import RULES as RULES
from keras_ssd.evaluation.metrics.rules import Rule as Rule
