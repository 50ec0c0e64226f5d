"""Caffe nets without Caffe: their files, the layers that only they need, import and export."""
