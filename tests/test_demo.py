"""The drawn smear, and the first command of the package."""

import numpy as np
import pytest
from PIL import Image

import keras_ssd
from keras_ssd.cli import main
from keras_ssd.demonstration.finding import WEIGHTS, matched
from keras_ssd.demonstration.moving import draw_moving_smear
from keras_ssd.demonstration.smear import CLASSES, SIZE_HW, draw_smear
from keras_ssd.detections import Detections


def test_values_the_same_seed_draws_the_same_smear():
    first, again, other = draw_smear(1), draw_smear(1), draw_smear(2)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.truth == again.truth
    assert first.truth != other.truth
    assert first.image.shape == (*SIZE_HW, 3)
    assert first.image.dtype == np.uint8


@pytest.mark.parametrize(("reds", "whites", "platelets"), [(12, 1, 3), (0, 0, 0), (1, 0, 0), (40, 3, 20)])
def test_values_every_cell_is_in_the_truth_and_in_the_image(reds, whites, platelets):
    truth = draw_smear(5, red_cells=reds, white_cells=whites, platelets=platelets).truth
    assert [truth.names.count(name) for name in CLASSES] == [reds, whites, platelets]
    low, high = truth.boxes_xyxy[:, :2], truth.boxes_xyxy[:, 2:]
    assert (low >= 0).all()
    assert (high <= SIZE_HW[::-1]).all()
    assert (high - low >= 8).all()


def test_values_boxes_hold_the_cells_and_nothing_else():
    """Whatever is darker than glass lies inside a box, and touches each of its four sides."""
    smear = draw_smear(4, red_cells=3, white_cells=1, platelets=2)
    dark = smear.image[..., 1] < 175
    rows, columns = np.nonzero(dark)
    inside = np.zeros_like(dark)
    for left, top, right, bottom in smear.truth.boxes_xyxy.round().astype(int):
        inside[top:bottom, left:right] = True
    assert inside[rows, columns].mean() > 0.999
    for name, box in zip(smear.truth.names, smear.truth.boxes_xyxy, strict=True):
        left, top, right, bottom = box.round().astype(int)
        part = smear.image[top:bottom, left:right].min(-1) < 185
        ys, xs = np.nonzero(part)
        margin = 5 if name != "Platelets" else 9
        assert xs.min() < margin, name
        assert ys.min() < margin, name
        assert right - left - xs.max() - 1 < margin, name
        assert bottom - top - ys.max() - 1 < margin, name


def test_values_colours_of_stained_smears():
    """Medians of BCCD's images, each to 12 of 255."""
    glass, colours = [], {name: [] for name in CLASSES}
    for seed in range(6):
        smear = draw_smear(seed, red_cells=9)
        free = np.ones(SIZE_HW, bool)
        for name, _, box, _ in smear.truth:
            left, top, right, bottom = map(int, box)
            free[top : bottom + 1, left : right + 1] = False
            height, width = bottom - top, right - left
            inner = smear.image[top + height // 5 : bottom - height // 5, left + width // 5 : right - width // 5]
            colours[name].append(np.percentile(inner.reshape(-1, 3), (5, 50), axis=0))
        glass.append(np.median(smear.image[free], 0))
    _, red = np.median(colours["RBC"], 0)
    _, platelet = np.median(colours["Platelets"], 0)
    nucleus, _ = np.median(colours["WBC"], 0)
    for found, photographed in (
        (np.median(glass, 0), (199, 201, 200)),
        (red, (184, 163, 169)),
        (platelet, (164, 159, 198)),
        (nucleus, (125, 90, 185)),
    ):
        np.testing.assert_allclose(found, photographed, atol=12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"red_cells": 41}, r"`red_cells` must be a whole number, 0\.\.40\. Received: red_cells=41"),
        ({"white_cells": -1}, "`white_cells`"),
        ({"platelets": 1.5}, "Received: platelets=1.5"),
        ({"seed": -1}, "`seed` must be a whole number from 0 on"),
        ({"seed": True}, "Received: seed=True"),
    ],
)
def test_rejects_numbers_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        draw_smear(**values)


class Finder:
    """Stands for the trained model: finds what it is told to."""

    def __init__(self, seed, count):
        truth = draw_smear(seed, red_cells=count).truth
        boxes, class_ids = truth.boxes_xyxy, truth.class_ids
        # The first red cell twice, the last platelet not at all, and a white cell where there is none.
        self.boxes = np.concatenate([boxes[:1] + 1, boxes[:-1], [[0, 0, 5, 5]]])
        self.class_ids = [0, *class_ids[:-1], 1]

    def detect(self, image, confidence):
        yield Detections(self.boxes, np.linspace(1, 0.6, len(self.boxes)), self.class_ids, CLASSES, SIZE_HW, "array 0")


@pytest.fixture
def finder(monkeypatch):
    monkeypatch.setattr("keras_ssd.models.ssd_small", lambda weights: Finder(2, 6))


@pytest.mark.usefixtures("finder")
def test_values_demo_compares_with_the_truth(tmp_path, capsys):
    found = keras_ssd.demo(tmp_path / "smear.png", seed=2, count=6)
    assert isinstance(found, Detections)
    said = capsys.readouterr().out
    assert said.startswith("drawn smear (640 x 480): 11 found\n")
    assert "  RBC        6 of 6, and 1 that is not there\n" in said
    assert "  WBC        1 of 1, and 1 that is not there\n" in said
    assert "  Platelets  2 of 3\n" in said
    with Image.open(tmp_path / "smear.png") as drawn:
        assert drawn.size == SIZE_HW[::-1]
        assert (np.asarray(drawn) != draw_smear(2, red_cells=6).image).any()


@pytest.mark.usefixtures("finder")
def test_values_command(tmp_path, capsys):
    assert main(["demo", "--seed", "2", "--count", "6", "--out", str(tmp_path / "smear.jpg")]) == 0
    assert "6 of 6" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["smear.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "nowhere/smear.png"], "There is no folder nowhere"),
        (["--out", "smear.txt"], "--out must end like an image"),
        (["--count", "41"], "--count must be a whole number, 0..40"),
        (["--seed", "-1"], "--seed must be a whole number"),
    ],
)
def test_rejects_arguments_before_any_work(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_ssd.models.ssd_small", None)
    assert main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.numerical
def test_values_the_trained_detector_finds_drawn_cells():
    """It was trained on photographs: drawings that it understands are like them."""
    model = keras_ssd.ssd_small(weights=WEIGHTS)
    drawn, right, wrong = (dict.fromkeys(CLASSES, 0) for _ in range(3))
    for seed in range(16):
        smear = draw_smear(seed, red_cells=(12, 20)[seed % 2])
        [found] = model.detect(smear.image)
        for name in CLASSES:
            there, seen = smear.truth.filter(classes=name), found.filter(classes=name)
            hits = matched(there.boxes_xyxy, seen.boxes_xyxy)
            drawn[name] += len(there)
            right[name] += hits
            wrong[name] += len(seen) - hits
    assert drawn == {"RBC": 256, "WBC": 16, "Platelets": 48}
    assert right["WBC"] == 16
    assert right["RBC"] >= 250
    assert right["Platelets"] >= 45
    assert sum(wrong.values()) <= 3


@pytest.mark.numerical
def test_values_the_first_command(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "smear.png")]) == 0
    said = capsys.readouterr().out
    assert "  RBC        12 of 12\n  WBC        1 of 1\n  Platelets  3 of 3\n" in said
    with Image.open(tmp_path / "smear.png") as drawn:
        assert drawn.size == SIZE_HW[::-1]


def test_values_the_former_place_of_the_smear_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"keras_ssd.smear.draw_smear is the former name"):
        from keras_ssd.smear import draw_smear as former
    assert former is draw_smear


def test_values_cells_of_a_moving_smear_drift():
    frames = list(draw_moving_smear(3, seed=2, red_cells=3, white_cells=1, platelets=1, speed=4))
    assert [frame.truth.track_ids.tolist() for frame in frames] == [[1, 2, 3, 4, 5]] * 3
    assert [(frame.truth.frame, frame.truth.time) for frame in frames] == [(0, 0.0), (1, 0.04), (2, 0.08)]
    assert frames[0].truth.names == ("WBC", "RBC", "RBC", "RBC", "Platelets")
    middles = [(frame.truth.boxes_xyxy[:, :2] + frame.truth.boxes_xyxy[:, 2:]) / 2 for frame in frames]
    steps = [middles[1] - middles[0], middles[2] - middles[1]]
    np.testing.assert_allclose(steps[1][:4], steps[0][:4], atol=0.1)  # the platelet meets the edge
    assert (np.hypot(*steps[0].T) > 2).all()
    again = next(draw_moving_smear(1, seed=2, red_cells=3, white_cells=1, platelets=1, speed=4))
    np.testing.assert_array_equal(again.image, frames[0].image)
