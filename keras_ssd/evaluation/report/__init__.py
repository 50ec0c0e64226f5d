"""The report: how good a detector is, and why it fails."""

from keras_ssd.evaluation.report.writing import write_report as write_report
