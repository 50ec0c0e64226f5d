"""Which boxes of an image overlap: lists of pairs instead of a matrix per image."""

import dataclasses
from typing import Any

import numpy as np

from keras_ssd.evaluation import pairing
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable


@dataclasses.dataclass(frozen=True, eq=False)
class Overlaps:
    """Overlapping pairs of rows of two tables of boxes, in any order.

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
        """The highest IoU of each of `count` rows (0 for none), and the other table's row (-1; first of equals)."""
        ious = np.zeros(count)
        np.maximum.at(ious, self.rows, self.ious)
        top = np.flatnonzero(self.ious == ious[self.rows])
        others = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(others, self.rows[top], self.others[top])
        return ious, np.where(ious > 0, others, pairing.NONE)


def overlaps(
    table: DetectionTable | ObjectTable, others: DetectionTable | ObjectTable, plus_one: bool = False
) -> Overlaps:
    """All overlapping pairs of boxes of the same image, of any classes; `plus_one` widens boxes by a pixel."""
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for pairs in pairing.all_pairs(table, others, False, plus_one):
        touching = pairs.ious > 0
        kept.append((pairs.rows[touching], pairs.objects[touching], pairs.ious[touching]))
    return Overlaps(*(np.concatenate(column) for column in zip(*kept, strict=True)))
