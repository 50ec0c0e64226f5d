"""Measures how good a detector is, analyses its errors, and writes reports."""

from keras_ssd.evaluation.analysis import Analysis as Analysis
from keras_ssd.evaluation.analysis import analyse as analyse
from keras_ssd.evaluation.analysis import compare as compare
from keras_ssd.evaluation.collecting import Collector as Collector
from keras_ssd.evaluation.collecting import collect as collect
from keras_ssd.evaluation.collecting import merge as merge
from keras_ssd.evaluation.evaluate import evaluate as evaluate
from keras_ssd.evaluation.formats import read_detections as read_detections
from keras_ssd.evaluation.formats import write_detections as write_detections
from keras_ssd.evaluation.measuring import MEASURES as MEASURES
from keras_ssd.evaluation.measuring import measure as measure
from keras_ssd.evaluation.metrics.curves import Curve as Curve
from keras_ssd.evaluation.origin import origin_of as origin_of
from keras_ssd.evaluation.report import write_report as write_report
from keras_ssd.evaluation.result import Result as Result
from keras_ssd.evaluation.tables import DetectionTable as DetectionTable
from keras_ssd.evaluation.tables import ObjectTable as ObjectTable
from keras_ssd.evaluation.tracks import TrackMeasures as TrackMeasures
from keras_ssd.evaluation.tracks import measure_tracks as measure_tracks
