"""Follows objects through the frames of a video: identities, traces, counts, and MOTChallenge's files."""

from keras_ssd.tracking.byte_track import ByteTrack as ByteTrack
from keras_ssd.tracking.counting import CountLine as CountLine
from keras_ssd.tracking.counting import CountZone as CountZone
from keras_ssd.tracking.mot import read_mot as read_mot
from keras_ssd.tracking.mot import write_mot as write_mot
