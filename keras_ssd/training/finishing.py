"""What a training ends with: the best and the last model measured, and the threshold that suits each."""

import dataclasses
import math
import os

from keras_ssd import models
from keras_ssd.data.dataset import Dataset
from keras_ssd.decoding import Confidence
from keras_ssd.evaluation import evaluate
from keras_ssd.evaluation.calibrating import Calibrated, calibrate_by
from keras_ssd.models.model import SSD
from keras_ssd.training.checkpoint import replacing

MEASURE = "voc12"
WITHIN = 0.005  # of the best F1: the curve is flat there, and a higher threshold shows fewer wrong boxes
RULE = "AP at IoU 0.5, area under the curve (voc12)"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model of a training on its validation set.

    Args:
        ap: mean average precision, 0..1, by the measure "voc12".
        point: `keras_ssd.evaluation.analysis.WorkingPoint`: the threshold that `measure` chose, precision and recall.
        confidence: the `Confidence` that the model has got, or None where no threshold finds anything.
        calibrated: `Calibrated`, or None without a calibration.
    """

    ap: float
    point: object
    confidence: Confidence | None
    calibrated: Calibrated | None = None


def measure(
    path: str | os.PathLike[str], validation_set: Dataset, batch_size: int, calibrate: bool = False
) -> "tuple[SSD, Measured]":
    """Measures a saved model and stores in it a threshold: the highest with an F1 at most 0.005 below the best F1.

    Few images tell the best threshold only roughly: near it F1 hardly changes, but the numbers of missed objects and of
    wrong boxes do. Wrong boxes are seen first, so the highest of these thresholds is taken.

    Args:
        path: of the .keras file; it is replaced.
        validation_set: `Dataset`.
        batch_size: images at once.
        calibrate: whether to calibrate its scores on the set, too.

    Returns:
        (the model, `Measured`).
    """
    model = models.load(path)
    result = evaluate(model, validation_set, MEASURE, batch_size=batch_size, progress=False, engine="keras")
    point = result.analysis.cautious_point(WITHIN)
    if not point.found:
        return model, Measured(result.map, point, None)
    source = f"F1 within {WITHIN:g} of the best on {len(validation_set)} validation images"
    model.confidence = Confidence(_cut(point.threshold), source)
    calibrated = calibrate_by(model, result) if calibrate else None
    if calibrated is not None:
        value = _cut(calibrated.calibration.apply(float(point.threshold)))
        model.confidence = Confidence(value, f"{source}, of calibrated scores")
    with replacing(path) as temporary:
        model.save(temporary)
    return model, Measured(result.map, point, model.confidence, calibrated)


def _cut(threshold):
    """Three digits; never above the score of the detection that it lets through."""
    return math.floor(threshold * 1000) / 1000
