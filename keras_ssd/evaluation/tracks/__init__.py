"""Measures of tracking: HOTA, MOTA, IDF1 and their parts."""

from keras_ssd.evaluation.tracks.measuring import TrackMeasures as TrackMeasures
from keras_ssd.evaluation.tracks.measuring import measure_tracks as measure_tracks
