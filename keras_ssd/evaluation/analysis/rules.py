"""The rule of a result's measure, and the IoU threshold of its analysis."""

from typing import TYPE_CHECKING

from keras_ssd.evaluation.metrics.rules import RULES, Rule
from keras_ssd.names import unknown_name

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result


def rule_of(result: "Result") -> tuple[Rule, float, bool]:
    """The `Rule` of a result's measure, its IoU threshold (for COCO the first of ten), and whether a pixel is added.

    Raises:
        ValueError: the measure is unknown.
    """
    if result.measure not in RULES:
        raise ValueError(unknown_name("measure", result.measure, RULES))
    settings = result.settings
    return RULES[result.measure], float(settings.get("iou_threshold", 0.5)), bool(settings.get("plus_one", False))
