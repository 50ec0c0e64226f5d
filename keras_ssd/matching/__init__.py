"""Matching of anchors with objects by the rules of Caffe, ssd_keras and torchvision, in numpy and in graphs."""

from keras_ssd.matching.arrays import Matches as Matches
from keras_ssd.matching.arrays import match as match
from keras_ssd.matching.rules import METHODS as METHODS
from keras_ssd.matching.rules import MatchRules as MatchRules
from keras_ssd.matching.tensors import match_in_graph as match_in_graph
