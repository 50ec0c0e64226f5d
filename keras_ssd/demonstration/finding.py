"""Draws a smear, finds its cells, and compares."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.calling import checked_arguments
from keras_ssd.demonstration.smear import MOST, check_count, draw_smear
from keras_ssd.detections import Detections
from keras_ssd.images import write_image

WEIGHTS = "ssd_small.cells"
# How much a found box and a drawn one must have in common to be the same cell, as VOC counts.
SAME = 0.5


@checked_arguments
def demo(
    out: str | os.PathLike[str] | None = None, *, seed: int = 0, count: int = 12, confidence: float = 0.5
) -> Detections:
    """Draws a blood smear, finds its cells, and says what was right. Needs no file and no network.

    Args:
        out: an image to write, with the boxes drawn in; its ending names the format. None writes nothing.
        seed: which smear; a whole number from 0 on.
        count: red cells to draw, 0..40. There are one white cell and three platelets beside them.
        confidence: lowest score to report, 0..1.

    Returns:
        `Detections`; `found.draw()` is the image with boxes.

    Raises:
        ValueError: a number out of its range, or an ending that is no image format.
        OSError: the image cannot be written.

    Example:
        >>> found = keras_ssd.demo(seed=1)
        >>> found.draw().show()
    """
    from keras_ssd.models import ssd_small

    check_count("count", count, MOST["red_cells"])
    if out is not None:
        check_out(out)
    smear = draw_smear(seed, red_cells=count)
    model = ssd_small(weights=WEIGHTS)
    [found] = model.detect(smear.image, confidence=confidence)
    found = replace(found, source=smear.truth.source, image=smear.image)
    print(found)
    print(compare(smear.truth, found))
    if out is not None:
        write_image(found.draw(), out)
        print(f"The image with boxes: {out}")
    return found


def compare(truth: Detections, found: Detections) -> str:
    """How many of the drawn cells were found, as a text.

    Args:
        truth: `Detections` of what is there.
        found: `Detections` of the same image, best first.

    Returns:
        One line a class.
    """
    width = max(len(name) for name in truth.class_names)
    lines = ["Drawn and found:"]
    for name in truth.class_names:
        there, seen = truth.filter(classes=name), found.filter(classes=name)
        right = matched(there.boxes_xyxy, seen.boxes_xyxy)
        extra = len(seen) - right
        note = f", and {extra} that {'is' if extra == 1 else 'are'} not there" if extra else ""
        lines.append(f"  {name:{width}}  {right} of {len(there)}{note}")
    return "\n".join(lines)


def matched(there_xyxy: np.ndarray, seen_xyxy: np.ndarray) -> int:
    """How many of the boxes that are `there` were `seen`: each best first, each box once.

    Args:
        there_xyxy: (M, 4).
        seen_xyxy: (K, 4), best first.
    """
    if not len(there_xyxy):
        return 0
    free = np.ones(len(there_xyxy), bool)
    for overlaps in iou_matrix(seen_xyxy, there_xyxy):
        best = int(np.argmax(np.where(free, overlaps, -1)))
        if free[best] and overlaps[best] >= SAME:
            free[best] = False
    return int((~free).sum())


def check_out(out: str | os.PathLike[str]) -> None:
    """Refuses before any work what could not be written after it.

    Raises:
        ValueError: the ending is of no image format that Pillow writes.
        OSError: there is no such folder.
    """
    from PIL import Image

    path = Path(out)
    known = sorted(ending for ending, form in Image.registered_extensions().items() if form in Image.SAVE)
    if path.suffix.lower() not in known:
        raise ValueError(f"`out` must end like an image: .png, .jpg or the like. Received: out={os.fspath(out)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
