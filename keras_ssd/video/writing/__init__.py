"""Writes videos: mp4 files with their sound, and GIFs."""

from keras_ssd.video.writing.writer import VideoWriter as VideoWriter
