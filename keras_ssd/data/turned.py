"""Annotations whose stated size is that of the stored image, before its EXIF orientation is applied.

Every reader of images here applies the orientation, as viewers do, so boxes must be those of the displayed image. If
height and width of the stated size are swapped, boxes are kept when all of them fit the displayed image; otherwise they
were drawn on the unrotated image or are wrong, and the record is left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.data.formats.layout import Assumed
from keras_ssd.data.image_files import image_size, may_be_turned
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.records import BoxFormat, Record
from keras_ssd.images import ImageError

ASSUMED = "a size is given before EXIF rotation; the boxes fit the image as it is shown"
_EDGE = 1.0  # pixels


def as_shown(
    records: Sequence[Record], boxes: BoxFormat, problems: list[Problem], progress: bool = False
) -> list[Record]:
    """Gives records of rotated images the size that viewers show, and returns the records that stay.

    Records with boxes outside that size are left out; those without size pass.
    """
    oblong: list[Any] = [record for record in records if record.size_hw and record.size_hw[0] != record.size_hw[1]]
    assumed, lost = Assumed(), set()
    with worked_ahead(_shown_size, oblong, "looking for turned images", progress) as sizes:
        for record, future in sizes:
            stated, shown = record.size_hw, future.result()
            if shown != stated[::-1]:
                continue
            if _fit(record, boxes, shown):
                record.size_hw = shown
                assumed.add(ASSUMED, record.source, 0, record.name, f"{record.image} is {_told(shown)}")
                continue
            lost.add(id(record))
            what = (
                f"{record.image} is {_told(shown)} as its EXIF orientation shows it, the annotation says "
                f"{_told(stated)}, and its boxes leave the shown image: they were drawn before EXIF rotation. Turn "
                "the image's pixels and remove the EXIF orientation, or turn the boxes"
            )
            problems.append(Problem("image size", record.source, what, 0, record.name, "left out"))
    problems += assumed.problems()
    return [record for record in records if id(record) not in lost]


def _shown_size(record):
    """(height, width) of an image that viewers may turn; None for others and for unreadable files."""
    try:
        return image_size(record.image) if may_be_turned(record.image) else None
    except (ImageError, OSError):
        return None


def _fit(record, boxes, size_hw):
    if not record.raw or boxes.fractions:
        return True
    corners = boxes.to_pixels(np.array(record.raw, np.float64).reshape(-1, 4), size_hw)
    return bool((corners >= -_EDGE).all() and (corners <= np.array([*size_hw[::-1], *size_hw[::-1]]) + _EDGE).all())


def _told(size_hw):
    return f"{size_hw[1]} x {size_hw[0]} pixels"
