"""`calibrate`: gives a detector scores that mean what they say."""

import dataclasses

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.decoding import ScoreCalibration, fit_calibration
from keras_ssd.evaluation.analysis.calibration import calibration as measured
from keras_ssd.evaluation.analysis.errors import FOUND, UNCOUNTED
from keras_ssd.evaluation.evaluate import evaluate
from keras_ssd.evaluation.result import Result
from keras_ssd.models.model import SSD


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """What a calibration changed.

    Args:
        calibration: the `ScoreCalibration` that the model has got.
        before, after: expected calibration error of the detections that it was fitted to, 0..1.
        detections: how many those are.
    """

    calibration: ScoreCalibration
    before: float
    after: float
    detections: int

    def __str__(self) -> str:
        return (
            f"scores: calibrated on {self.detections:,} detections, temperature {self.calibration.temperature:.2f}, "
            f"shift {self.calibration.shift:+.2f}; the expected calibration error falls from {self.before:.3f} to "
            f"{self.after:.3f} there"
        )


@checked_arguments
def calibrate(model: SSD, dataset: Dataset, *, batch_size: int = 8, progress: bool = True) -> Calibrated:
    """Calibrates the scores of a detector: 8 of 10 detections with a score of 0.8 are then true.

    The calibration is kept in the model (`model.calibration`) and in its files. `detect`, decoders, measures and
    exported files use it. Boxes and their order stay as they are; `model.confidence` becomes the calibrated score that
    lets the same detections through.

    Args:
        model: an `SSD` of raw predictions; it is changed.
        dataset: `keras_ssd.data.Dataset` of images that the model was not trained on.
        batch_size: images at once.
        progress: whether to show a bar on a terminal.

    Returns:
        `Calibrated`.

    Raises:
        ValueError: the model ends in a decoder, or nothing can be learnt from what it finds; it stays as it was.

    Example:
        >>> print(keras_ssd.calibrate(model, validation))
        >>> model.save("calibrated.keras")
    """
    if model.has_decoder:
        raise ValueError(
            f"Model '{model.name}' ends in a decoder, whose options are set already. Calibrate the model that it was "
            "made from, and make the decoder anew."
        )
    before = model.calibration
    model.calibration = None
    try:
        done = calibrate_by(model, evaluate(model, dataset, batch_size=batch_size, progress=progress))
    except BaseException:
        model.calibration = before
        raise
    if done is None:
        model.calibration = before
        raise ValueError(
            f"Nothing can be learnt from what model '{model.name}' finds in {dataset.name}: a calibration needs true "
            "and false detections, and the true ones must have the higher scores."
        )
    return done


def calibrate_by(model: SSD, result: Result) -> Calibrated | None:
    """Calibrates a model by what was measured of it without a calibration; None, and no change, if that is no use."""
    analysis = result.analysis
    counted = analysis.kinds != UNCOUNTED
    scores, true = analysis.table.scores[counted], analysis.kinds[counted] == FOUND
    before = measured(scores, true)
    found = fit_calibration(scores, true) if before is not None else None
    if found is None or before is None:
        return None
    after = measured(found.apply(scores.astype(float).clip(0, 1)), true)
    model.calibration = found
    return Calibrated(found, before.ece, before.ece if after is None else after.ece, len(scores))
