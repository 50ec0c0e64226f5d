"""Images with a marked object, and the object found again by its colour."""

import numpy as np

from keras_ssd.data import Sample

GROUND, MARK, FILL = (10, 120, 10), (250, 10, 10), (10, 10, 250)


def marked(size_hw, box_pixels, name="marked"):
    """A green sample with one red box; (left, top, right, bottom) in whole pixels."""
    image = np.full((*size_hw, 3), GROUND, np.uint8)
    left, top, right, bottom = box_pixels
    image[top:bottom, left:right] = MARK
    sides = np.array([size_hw[1], size_hw[0]] * 2)
    return Sample(image, [np.array(box_pixels) / sides], [3], [True], name)


def find_mark(image):
    """(left, top, right, bottom) in pixels of all that is rather red than anything else; None without any."""
    red = image[..., 0].astype(int) - image[..., 1:].max(axis=-1) > 60
    if not red.any():
        return None
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def in_pixels(sample):
    """(M, 4) boxes in pixels of the sample's image."""
    height, width = sample.image.shape[:2]
    return sample.boxes_xyxy * np.array([width, height, width, height])


def noise(size_hw, seed=0, boxes=5):
    """A sample of random pixels and random boxes with area."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((boxes, 2, 2)), axis=1).reshape(-1, 4)
    classes = rng.integers(0, 20, boxes)
    return Sample(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8), corners, classes, classes % 2 == 0, "noise")


def assert_equal(one, two):
    """Two samples are the same to the bit."""
    for name in ("image", "boxes_xyxy", "class_ids", "difficult"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
