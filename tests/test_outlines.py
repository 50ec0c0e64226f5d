"""The boxes of polygons and masks."""

import numpy as np
import pytest
from coco_exports import CORNERS, OUTLINE, assumed, category, faults, found, image, marked
from data_files import coco_file, save_image

from keras_ssd import data
from keras_ssd.data import DataError, outlines
from keras_ssd.data.records import EntryError


def mask_of(runs):
    return {"size": [40, 60], "counts": runs}


RUNS = [10 * 40 + 8, 16, *([24, 16] * 19), 30 * 40 + 40 - 24]  # columns 10..29, rows 8..23


def as_text(runs):
    """The text form of runs, written another way than it is read: from the description of `pycocotools`."""
    text = ""
    for place, run in enumerate(runs):
        rest = run - (runs[place - 2] if place > 2 else 0)
        while True:
            low, rest = rest & 31, rest >> 5
            more = rest != (-1 if low & 16 else 0)
            text += chr(48 + low + 32 * more)
            if not more:
                break
    return text


@pytest.mark.parametrize(
    "segmentation",
    [
        [OUTLINE],
        OUTLINE,
        [[10, 8, 20, 10, 15, 24], [25, 9, 30, 20, 26, 21]],
        [[10.0, "8", 30, 24]],
        mask_of(RUNS),
        mask_of(as_text(RUNS)),
    ],
)
@pytest.mark.parametrize("bbox", ["absent", None, [], [0, 0, 0, 0]])
def test_values_the_box_of_an_outline(tmp_path, segmentation, bbox):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "result.json", [image()], [marked(bbox=bbox, segmentation=segmentation)], [category()])
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a": [("nut", CORNERS)]}
    assert assumed(dataset) == ["an object has no bbox: its outline's is taken: annotation 1"]


@pytest.mark.parametrize("seed", range(20))
def test_reference_boxes_of_random_masks(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 30, 2)
    mask = rng.random((height, width)) < rng.choice([0.01, 0.2, 0.9])
    flat = np.concatenate([[False], mask.T.ravel(), [not mask[-1, -1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], ends])).tolist()
    rows, columns = np.nonzero(mask)
    box = None
    if len(rows):
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    for counts in (runs, as_text(runs)):
        assert outlines.box_of({"size": [int(height), int(width)], "counts": counts}) == box


def test_values_a_mask_as_pycocotools_writes_it():
    # encode of a 5 x 7 mask with rows 1..3 of columns 2..4: runs 11, 3, 2, 3, 2, 3, 11
    assert outlines.box_of({"size": [5, 7], "counts": ";320009"}) == [2, 1, 3, 3]


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ("text", "segmentation must hold polygons or a mask, and is 'text'"),
        ([[1, 2, 3]], "a polygon must be a list of x, y, x, y ..., and is [1, 2, 3]"),
        ([[1, 2, float("nan"), 4]], "a polygon's number must be a finite number, and is nan"),
        ({"size": [40], "counts": [2400]}, "a mask needs a size of height and width, and has [40]"),
        (mask_of([1, 2]), "the runs of a mask of 60 x 40 pixels do not fill it"),
        (mask_of([-1, 2401]), "runs of a mask must be whole numbers from 0 on"),
        (mask_of("0" * 3 + "~"), "counts of a mask hold '~', or a run without end"),
        (mask_of("o" * 50), "counts of a mask hold 'o', or a run without end"),
        (mask_of("o"), "counts of a mask end within a run"),
        (mask_of(None), "counts of a mask must be a list or text, and is missing"),
        ({"size": [1e6, 1e6], "counts": [1e12, 1]}, "the runs of a mask of 1000000 x 1000000 pixels do not fill it"),
    ],
)
def test_rejects_outlines(segmentation, what):
    with pytest.raises(EntryError) as error:
        outlines.box_of(segmentation)
    assert str(error.value) == what


@pytest.mark.parametrize("bbox", ["absent", None, []])
@pytest.mark.parametrize("segmentation", ["absent", None, [], [[]], mask_of([2400])])
def test_rejects_objects_that_mark_nothing(tmp_path, bbox, segmentation):
    save_image(tmp_path / "a.jpg")
    rows = [marked(bbox=bbox, segmentation=segmentation), marked(2)]
    coco_file(tmp_path / "result.json", [image()], rows, [category()])
    assert faults(tmp_path) == ["annotation 1 (nut) of a: it has neither a bbox nor an outline"]
    assert found(data.read(tmp_path, policy="drop")) == {"a": [("nut", CORNERS)]}
    coco_file(tmp_path / "result.json", [image()], rows[:1], [category()])  # nothing else: no image without objects
    with pytest.raises(DataError, match="neither a bbox nor an outline"):
        data.read(tmp_path, policy="drop")
