"""The result of a measure: a value per class, curves, and the tables that it was computed from."""

import dataclasses
import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd.anchors import AnchorSpec
from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.analysis import Analysis, analyse
from keras_ssd.evaluation.figures import figure
from keras_ssd.evaluation.metrics import RULES
from keras_ssd.evaluation.metrics.curves import Curve
from keras_ssd.evaluation.origin import Origin
from keras_ssd.evaluation.pairing import Pairing
from keras_ssd.evaluation.report import write_report
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

_TITLES = {"voc07": "VOC, 11 points", "voc12": "VOC, area under the curve", "coco": "COCO", "ilsvrc": "ILSVRC DET"}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result:
    """How good a detector is on a set of images, by one measure.

    `print(result)` shows a table of the classes. A class without objects has no value: it is NaN here, "n/a" in print
    and None in `to_dict`, and is left out of every mean. A class without detections has 0.

    Args:
        measure: "voc07", "voc12", "coco" or "ilsvrc".
        per_class: dictionary from class name to average precision, 0..1.
        curves: dictionary from class name to `Curve`, for classes with objects.
        numbers: dictionary of the measure's own figures, the mean first: "mAP", or COCO's twelve.
        settings: dictionary of the measure's settings; "iou_threshold" is that of the curves.
        found: the `DetectionTable` that was measured.
        truth: the `ObjectTable` that it was compared with.
        dataset: the `Dataset` of the objects, or None: reports show its images.
        anchors: the `AnchorSpec` of the detector, if it is a model: the analysis tells which objects they can match.
        origin: `Origin` of the detector, if it is a model: reports name its network, weights and training.
    """

    measure: str
    per_class: dict[str, float]
    curves: dict[str, Curve]
    numbers: dict[str, float]
    settings: dict[str, Any]
    found: DetectionTable
    truth: ObjectTable
    dataset: Dataset | None = None
    anchors: AnchorSpec | None = None
    origin: Origin | None = None

    @property
    def map(self) -> float:
        """The mean average precision, 0..1, as papers report it for this measure; NaN if no class has objects."""
        return next(iter(self.numbers.values()))

    @property
    def objects(self) -> dict[str, int]:
        """Dictionary from class name to the number of objects to find: not difficult, not crowd."""
        counted = ~(self.truth.difficult | self.truth.crowd)
        return _counts(self.truth.class_names, self.truth.class_ids[counted])

    @property
    def detections(self) -> dict[str, int]:
        """Dictionary from class name to the number of detections."""
        return _counts(self.found.class_names, self.found.class_ids)

    @functools.cached_property
    def pairing(self) -> Pairing:
        """The verdict on each detection: the `Pairing` of the curves, at "iou_threshold"."""
        settings = self.settings
        rule = RULES[self.measure]
        return rule.pair(self.found, self.truth, settings["iou_threshold"], settings.get("plus_one", False))

    @functools.cached_property
    def analysis(self) -> Analysis:
        """Why the detector fails: `keras_ssd.evaluation.analysis.Analysis`, computed on first use."""
        return analyse(self)

    @checked_arguments
    def report(self, folder: str | os.PathLike[str], others: Sequence["Result"] = ()) -> Path:
        """Writes one HTML page that explains this result.

        Args:
            folder: where the page is written, with its images inside.
            others: `Result`s of other detectors on the same images, for comparison.

        Returns:
            The path of the page.

        Raises:
            ImportError: the extra `report` is not installed.
        """
        return write_report([self, *others], folder)

    def to_dict(self) -> dict[str, Any]:
        """The values as a dictionary for `json.dumps`; None if a value does not apply."""
        return {
            "measure": self.measure,
            "map": _or_none(self.map),
            "numbers": {name: _or_none(value) for name, value in self.numbers.items()},
            "per_class": {name: _or_none(value) for name, value in self.per_class.items()},
            "objects": self.objects,
            "detections": self.detections,
            "images": len(self.truth.images),
            "settings": dict(self.settings),
        }

    def __str__(self) -> str:
        objects, detections = self.objects, self.detections
        rows = [
            (name, str(objects[name]), str(detections[name]), figure(value)) for name, value in self.per_class.items()
        ]
        valued = sum(not math.isnan(value) for value in self.per_class.values())
        mean = f"mean of {valued} class{'' if valued == 1 else 'es'}"
        total = (mean, str(sum(objects.values())), str(sum(detections.values())), figure(self.map))
        head = ("class", "objects", "detections", "AP")
        widths = [max(len(row[i]) for row in (head, *rows, total)) for i in range(4)]

        def line(row):
            return f"  {row[0]:{widths[0]}}  " + "  ".join(f"{row[i]:>{widths[i]}}" for i in (1, 2, 3))

        rule = "  " + "-" * (sum(widths) + 6)
        lines = [self._title(), line(head), rule, *map(line, rows), rule, line(total)]
        if len(self.numbers) > 1:
            lines += ["", *_in_columns({name: figure(value) for name, value in self.numbers.items()})]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Result({self.measure!r}, map={figure(self.map)}, {len(self.truth.images)} images)"

    def _title(self):
        images = len(self.truth.images)
        facts = [f"{images} image{'' if images == 1 else 's'}"]
        thresholds = self.settings.get("iou_thresholds", [self.settings["iou_threshold"]])
        facts.append(f"IoU {' to '.join(f'{value:g}' for value in sorted({thresholds[0], thresholds[-1]}))}")
        facts += ["small objects less"] if self.measure == "ilsvrc" else []
        facts += ["a pixel added"] if self.settings.get("plus_one") else []
        return f"{_TITLES.get(self.measure, self.measure)}: {', '.join(facts)}"


def _or_none(value):
    return None if math.isnan(value) else float(value)


def _counts(names, class_ids):
    return dict(zip(names, np.bincount(class_ids, minlength=len(names)).tolist(), strict=True))


def _in_columns(texts, columns=3):
    """Lines of "name value" in columns."""
    cells = [f"{name:<5} {value:>5}" for name, value in texts.items()]
    return ["  " + "    ".join(cells[i : i + columns]) for i in range(0, len(cells), columns)]
