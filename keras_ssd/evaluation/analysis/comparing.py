"""Whether one detector is better than another, or only lucky with these images: the paired bootstrap."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis.rules import rule_of
from keras_ssd.evaluation.metrics import coco
from keras_ssd.evaluation.metrics.curves import Curve

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result

_REPLICATES = 200, 1000  # at least, at most
_SHOWN = 30  # letters; an error does not repeat longer values
_WORK = 2e8  # values to process, some seconds; more detections mean fewer replicates


@dataclasses.dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval for other images of the same kind.

    Args:
        value: the value.
        low, high: bounds of the interval; NaN with fewer than two images.
    """

    value: float
    low: float
    high: float

    @property
    def apart(self) -> bool:
        """Whether the interval excludes 0: for a difference, whether it is significant."""
        return bool(self.low > 0 or self.high < 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Values of several detectors on the same images.

    Args:
        maps: an `Interval` of the mean average precision for each result.
        per_class: for each result a dictionary from class name to `Interval`.
        differences: an `Interval` of the difference to the first result, for each result.
        class_differences: the same for each class.
        replicates: number of times that the images were resampled.
    """

    maps: tuple[Interval, ...]
    per_class: tuple[dict[str, Interval], ...]
    differences: tuple[Interval, ...]
    class_differences: tuple[dict[str, Interval], ...]
    replicates: int


@checked_arguments
def compare(results: "Sequence[Result]", replicates: int | None = None, seed: int = 0) -> Comparison:
    """Compares results with each other and gives a confidence interval for each value.

    Images are resampled with replacement, the same ones for every detector; detections and objects stay with their
    image. The interval is the middle 95 % of the resampled values, shifted so that their mean is the value.

    Args:
        results: `Result`s of the same measure, images, classes and objects; one is enough for its own interval.
        replicates: number of resamplings; None for 1000, or down to 200 if there are many detections.
        seed: of the resampling.

    Raises:
        ValueError: the results differ in measure, settings, images, classes or objects.

    Example:
        >>> better = compare([before, after]).differences[1]
        >>> better.value, better.apart
        (0.021, True)

    Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    results = list(results)
    check_comparable(results)
    is_coco = results[0].measure == "coco"
    lines = [_Resampled(result, coco.IOU_THRESHOLDS if is_coco else None) for result in results]
    replicates = replicates or int(np.clip(_WORK / max(sum(line.size for line in lines), 1), *_REPLICATES))
    images = len(results[0].truth.images)
    rng = np.random.default_rng(seed)
    values = np.stack([line.values(np.ones(images)) for line in lines])  # (R, C)
    drawn = np.full((replicates if images > 1 else 0, *values.shape), np.nan)
    for row in drawn:
        weights = np.bincount(rng.integers(0, images, images), minlength=images).astype(float)
        row[:] = [line.values(weights) for line in lines]
    means, mean = _means(drawn), _means(values)
    names = results[0].truth.class_names
    runs = range(len(results))
    return Comparison(
        tuple(_interval(mean[run], means[:, run], 0) for run in runs),
        tuple(_by_name(names, values[run], drawn[:, run], 0) for run in runs),
        tuple(_interval(mean[run] - mean[0], means[:, run] - means[:, 0]) for run in runs),
        tuple(_by_name(names, values[run] - values[0], drawn[:, run] - drawn[:, 0]) for run in runs),
        len(drawn),
    )


def check_comparable(results: "Sequence[Result]") -> None:
    """Raises ValueError unless all results have the same measure, settings, images, classes and objects."""
    if not results:
        raise ValueError("There is no result to compare. Give at least one.")
    first = results[0]
    for number, other in enumerate(results[1:], 2):
        parts = {
            "measure": (first.measure, other.measure),
            "IoU threshold or added pixel": (rule_of(first)[1:], rule_of(other)[1:]),
            "class names": (first.truth.class_names, other.truth.class_names),
            "images": (first.truth.images, other.truth.images),
            "objects": (_objects(first.truth), _objects(other.truth)),
        }
        for what, (ours, theirs) in parts.items():
            if ours != theirs:
                seen = f" Received: {ours!r} and {theirs!r}" if len(str(ours)) < _SHOWN else ""
                raise ValueError(
                    "Only results with the same measure, settings and data can be compared; results 1 and "
                    f"{number} differ in their {what}. Evaluate both with one dataset and the same options.{seen}"
                )


def _objects(truth):
    return truth.image.tobytes(), truth.class_ids.tobytes(), truth.boxes_xyxy.tobytes()


def _means(values):
    """Means over the classes (last axis), without NaN; NaN if all are NaN."""
    some = ~np.isnan(values)
    count = some.sum(axis=-1)
    return np.where(count > 0, np.where(some, values, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def _interval(value, drawn, lowest=-1):
    """Repeated images make curves smoother and their values slightly higher, so the interval is shifted back."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.clip(np.quantile(drawn, [0.025, 0.975]) - drawn.mean() + value, lowest, 1).tolist()
    return Interval(float(value), low, high)


def _by_name(names, values, drawn, lowest=-1):
    return {name: _interval(values[place], drawn[:, place], lowest) for place, name in enumerate(names)}


class _Resampled:
    """A result whose average precision can be recomputed with a weight per image, as the mean over IoU thresholds."""

    def __init__(self, result, ious):
        rule, threshold, plus_one = rule_of(result)
        self._value = rule.value
        found, truth = result.found, result.truth
        classes = len(truth.class_names)
        counted = ~(truth.difficult | truth.crowd)
        keys = truth.image[counted] * np.int64(classes) + truth.class_ids[counted]
        self._wanted = np.bincount(keys, minlength=len(truth.images) * classes).reshape(-1, classes).astype(float)
        order = np.lexsort((-found.scores, found.class_ids))
        self._image = found.image[order]
        bounds = np.searchsorted(found.class_ids[order], np.arange(classes + 1))
        self._lines = [
            _Line(rule.pair(found, truth, float(iou), plus_one).verdicts[order], bounds)
            for iou in ([threshold] if ious is None else ious)
        ]

    @property
    def size(self):
        """The approximate number of values per resampling."""
        return len(self._image) + sum(line.size for line in self._lines)

    def values(self, weights):
        """(C,) average precision of each class, NaN without objects, for (P,) image weights."""
        wanted = weights @ self._wanted
        each = weights[self._image]
        sums = _sums(each)
        return np.mean([line.values(each, sums, wanted, self._value) for line in self._lines], axis=0)


class _Line:
    """The true and the ignored detections at one threshold, sorted by class and descending score.

    Args:
        verdicts: (K,) of the detections.
        bounds: (C + 1,) bounds of the classes.
    """

    def __init__(self, verdicts, bounds):
        self._true = np.flatnonzero(verdicts == pr.TRUE)
        self._ignored = np.flatnonzero(verdicts == pr.IGNORED)
        self._bounds = bounds
        self._true_bounds = np.asarray(np.searchsorted(self._true, bounds))
        self._ignored_before = np.asarray(np.searchsorted(self._ignored, self._true))
        self._ignored_bounds = np.asarray(np.searchsorted(self._ignored, bounds))

    @property
    def size(self):
        return len(self._true) + len(self._ignored)

    def values(self, each, sums, wanted, value):
        ignored = _sums(each[self._ignored])
        true = _sums(each[self._true])
        every = sums[self._true + 1] - ignored[self._ignored_before]
        values = np.full(len(wanted), np.nan)
        for class_id in np.flatnonzero(wanted):
            low, high = self._true_bounds[class_id : class_id + 2]
            before = sums[self._bounds[class_id]] - ignored[self._ignored_bounds[class_id]]
            hits = true[low + 1 : high + 1] - true[low]
            precision = hits / np.maximum(every[low:high] - before, 1)
            values[class_id] = value(Curve(hits / wanted[class_id], precision, np.zeros(0)))
        return values


def _sums(values) -> np.ndarray:
    """Sums of the first 0, 1, 2, ... values."""
    return np.concatenate([[0.0], np.cumsum(values)])
