"""Why a detector fails: kinds of errors and their cost, missed objects, the best threshold, calibration."""

from keras_ssd.evaluation.analysis.analysing import Analysis as Analysis
from keras_ssd.evaluation.analysis.analysing import analyse as analyse
from keras_ssd.evaluation.analysis.calibration import Calibration as Calibration
from keras_ssd.evaluation.analysis.comparing import Comparison as Comparison
from keras_ssd.evaluation.analysis.comparing import Interval as Interval
from keras_ssd.evaluation.analysis.comparing import compare as compare
from keras_ssd.evaluation.analysis.errors import BACKGROUND as BACKGROUND
from keras_ssd.evaluation.analysis.errors import BOTH as BOTH
from keras_ssd.evaluation.analysis.errors import CLASSIFICATION as CLASSIFICATION
from keras_ssd.evaluation.analysis.errors import DUPLICATE as DUPLICATE
from keras_ssd.evaluation.analysis.errors import ERRORS as ERRORS
from keras_ssd.evaluation.analysis.errors import FOUND as FOUND
from keras_ssd.evaluation.analysis.errors import KINDS as KINDS
from keras_ssd.evaluation.analysis.errors import LOCALISATION as LOCALISATION
from keras_ssd.evaluation.analysis.errors import MISSED as MISSED
from keras_ssd.evaluation.analysis.errors import UNCOUNTED as UNCOUNTED
from keras_ssd.evaluation.analysis.misses import Group as Group
from keras_ssd.evaluation.analysis.misses import Split as Split
from keras_ssd.evaluation.analysis.working import WorkingPoint as WorkingPoint
