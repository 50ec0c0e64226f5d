"""How good a detector is: measures, error analysis, reports."""

from keras_ssd.evaluation.measures import MEASURES as MEASURES
from keras_ssd.evaluation.measures import measure as measure
from keras_ssd.evaluation.result import Curve as Curve
from keras_ssd.evaluation.result import Result as Result
