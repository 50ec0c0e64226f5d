"""The checks, in the order in which to fix what they find: each takes a `Probe` and returns a `Finding`."""

from collections.abc import Callable

from keras_ssd.doctor.checks.anchors import check_anchors
from keras_ssd.doctor.checks.answers import check_background, check_classes, check_scores
from keras_ssd.doctor.checks.feeding import check_images, check_preprocessing
from keras_ssd.doctor.checks.network import check_backend, check_heads
from keras_ssd.doctor.findings import Finding
from keras_ssd.doctor.probe import Probe

CHECKS: tuple[Callable[[Probe], Finding], ...] = (
    check_backend,
    check_heads,
    check_background,
    check_preprocessing,
    check_anchors,
    check_classes,
    check_images,
    check_scores,
)
