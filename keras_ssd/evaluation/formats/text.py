"""Formats with one detection per line: those of VOC's and ILSVRC's servers.

Both count pixels from 1 and include the last pixel, as their annotations do: xmin and ymin are one larger than in this
package.
"""

import numpy as np

from keras_ssd.evaluation.formats.rounding import shortest, shortest_from
from keras_ssd.evaluation.tables import DetectionTable


def inclusive(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(K, 4) float64 first and last pixels of float32 boxes; `exclusive` restores the boxes bit for bit.

    A coordinate nearer to 0 than 10**-9 pixels becomes 0.
    """
    return np.hstack([shortest_from(boxes_xyxy[:, :2], -1.0), shortest(boxes_xyxy[:, 2:])])


def exclusive(xmin: float, ymin: float, xmax: float, ymax: float) -> tuple[float, float, float, float]:
    """Edges of a box in continuous pixels."""
    return xmin - 1, ymin - 1, xmax, ymax


def texts(table: DetectionTable) -> list[str]:
    """Score, xmin, ymin, xmax, ymax of each detection as text: shortest decimals, whole numbers without ".0"."""
    numbers = np.hstack([shortest(table.scores)[:, None], inclusive(table.boxes_xyxy)]).tolist()
    return [" ".join(repr(value).removesuffix(".0") for value in row) for row in numbers]
