"""Caffe nets without Caffe: files, layers that only Caffe has, import and export."""
