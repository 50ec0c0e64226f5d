"""Which boxes of an image overlap: long lists of pairs instead of a matrix per image."""

import dataclasses
from typing import Any

import numpy as np

from keras_ssd.evaluation import pairing
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable


@dataclasses.dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of rows of two tables of boxes that share something, in no order that matters.

    Args:
        rows, others: (Q,) rows of the first and of the second table.
        ious: (Q,) float64, above 0.
    """

    rows: np.ndarray
    others: np.ndarray
    ious: np.ndarray

    def __getitem__(self, mask: Any) -> "Overlaps":
        return Overlaps(self.rows[mask], self.others[mask], self.ious[mask])

    def best(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """For each of `count` rows the highest IoU (0 for none) and whose it is (-1 for none), of equals the first."""
        ious = np.zeros(count)
        np.maximum.at(ious, self.rows, self.ious)
        top = np.flatnonzero(self.ious == ious[self.rows])
        others = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(others, self.rows[top], self.others[top])
        return ious, np.where(ious > 0, others, pairing.NONE)


def overlaps(
    table: DetectionTable | ObjectTable, others: DetectionTable | ObjectTable, plus_one: bool = False
) -> Overlaps:
    """All pairs of boxes of one image that overlap, whatever their classes.

    Args:
        table, others: a `DetectionTable` or an `ObjectTable` each, of the same images.
        plus_one: boxes are a pixel wider and higher, as inclusive pixels have it.
    """
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for pairs in pairing.all_pairs(table, others, False, plus_one):
        touching = pairs.ious > 0
        kept.append((pairs.rows[touching], pairs.objects[touching], pairs.ious[touching]))
    return Overlaps(*(np.concatenate(column) for column in zip(*kept, strict=True)))
