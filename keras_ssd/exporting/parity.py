"""Whether an exported file answers as its model does: the detections of both on the same images."""

from typing import Protocol

import numpy as np

from keras_ssd.exporters.comparing import Candidates as Candidates
from keras_ssd.exporters.comparing import Parity as Parity
from keras_ssd.exporters.comparing import Tolerance as Tolerance
from keras_ssd.exporters.comparing import compare as compare
from keras_ssd.exporters.comparing import together as together


class Runner(Protocol):
    """An exported file in its own runtime.

    Attributes:
        runtime: its name and version, such as "onnxruntime 1.22.0".
        batch: images that one call takes; None for any number.
    """

    runtime: str
    batch: int | None

    def rows(self, images: np.ndarray) -> np.ndarray:
        """Detections of images.

        Args:
            images: (B, H, W, 3) float32 RGB in 0..255, of the file's input size. What else the file takes (BGR, a
                blob, another order of axes, integers) is the runner's work.

        Returns:
            (B, K, 6) float32 rows [class id, score, xmin, ymin, xmax, ymax] as of `with_decoder`, boxes as fractions,
            unused rows with class -1. A file without suppression gives boxes and scores; the runner decodes them with
            `keras_ssd.decoding.detection_rows_arrays`.
        """
        ...


# Half precision moves scores in their third digit, so the order at the threshold changes.
TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-3),
    "float16": Tolerance(5e-2, 1e-1, 0.05),
    "int8": Tolerance(5e-2, 3e-2, 0.3, mean=True),
}
