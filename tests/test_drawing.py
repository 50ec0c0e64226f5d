"""Drawn boxes: in the right place, legible at every size, in colours that stay."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ssd import drawing
from keras_ssd.detections import Detections
from keras_ssd.drawing import PALETTE, class_colours, draw_detections, text_colour


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def contrast(one, other):
    """WCAG 2 contrast ratio, 1..21."""

    def luminance(colour):
        c = np.array(rgb(colour)) / 255
        return np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def grey(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def found_in(height, width, boxes, names=("cat",)):
    return Detections(
        boxes, np.linspace(0.9, 0.5, len(boxes)), np.arange(len(boxes)) % len(names), names, (height, width)
    )


def test_values_a_box_frames_its_object():
    found = found_in(100, 200, [[50, 20, 150, 80]])
    drawn = np.asarray(draw_detections(grey(100, 200), found, labels=False, line_width=1))
    colour = rgb(class_colours(("cat",))[0])
    assert tuple(drawn[20, 100]) == tuple(drawn[79, 100]) == colour  # first and last row of 20..80
    assert tuple(drawn[50, 50]) == tuple(drawn[50, 149]) == colour
    assert tuple(drawn[50, 100]) == (128, 128, 128)
    assert tuple(drawn[19, 100]) == (0, 0, 0)  # the rim
    assert (drawn[:18] == 128).all()
    assert (drawn[:, 152:] == 128).all()


def test_values_boxes_are_scaled_to_the_picture_drawn_on():
    found = found_in(1000, 2000, [[500, 200, 1500, 800]])
    small = draw_detections(grey(100, 200), found, labels=False, line_width=1)
    same = draw_detections(grey(100, 200), found_in(100, 200, [[50, 20, 150, 80]]), labels=False, line_width=1)
    np.testing.assert_array_equal(np.asarray(small), np.asarray(same))


def test_values_the_best_box_lies_on_top():
    found = found_in(100, 100, [[10, 10, 60, 60], [10, 10, 60, 60]], ("cat", "dog"))
    drawn = np.asarray(draw_detections(grey(100, 100), found, labels=False))
    assert tuple(drawn[10, 30]) == rgb(class_colours(("cat", "dog"))[0])


@pytest.mark.parametrize(("height", "width"), [(80, 100), (480, 640), (4000, 6000)])
def test_values_lines_and_letters_grow_with_the_picture(height, width):
    boxes = np.array([[0.2, 0.3, 0.7, 0.8]]) * [width, height, width, height]
    drawn = np.asarray(draw_detections(grey(height, width), found_in(height, width, boxes)))
    painted = (drawn != 128).any(axis=2)
    line = painted[int(0.75 * height), : width // 2].sum()  # across the left side, below the label
    assert 1 <= line <= max(3, 0.02 * width)
    assert line >= 0.003 * width
    label_rows = painted[: int(0.3 * height), int(0.22 * width)].sum()
    assert max(10, 0.02 * height) <= label_rows <= max(16, 0.08 * height)


def label_places(boxes, size_hw, monkeypatch, names=("elephant",)):
    """Where labels were put, as (K, 4)."""
    places = []
    real = drawing._place_label
    monkeypatch.setattr(drawing, "_place_label", lambda *args: places.append(real(*args)) or places[-1])
    draw_detections(grey(*size_hw), found_in(*size_hw, boxes, names))
    return np.array(places)


def overlaps(places):
    low = np.maximum(places[:, None, :2], places[None, :, :2])
    high = np.minimum(places[:, None, 2:], places[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    return shared[~np.eye(len(places), dtype=bool)]


@pytest.mark.parametrize(
    "box", [[0, 0, 30, 30], [270, 0, 300, 30], [0, 170, 30, 200], [270, 170, 300, 200], [0, 0, 300, 200]]
)
def test_values_labels_stay_inside_the_picture(box, monkeypatch):
    (place,) = label_places([box], (200, 300), monkeypatch)
    assert (place[:2] >= 0).all()
    assert (place[2:] <= (300, 200)).all()


def test_values_labels_do_not_cover_each_other(monkeypatch):
    boxes = [[100 + 3 * i, 100 + 2 * i, 240 + 3 * i, 220 + 2 * i] for i in range(4)]  # one object found four times
    places = label_places(boxes, (400, 500), monkeypatch)
    assert len(places) == 4
    assert overlaps(places).max() == 0


def test_values_a_label_wider_than_the_picture_starts_at_its_edge(monkeypatch):
    (place,) = label_places([[0, 0, 8, 8]], (30, 20), monkeypatch, names=("a very long class name",))
    assert place[0] == 0


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1)])
def test_values_the_smallest_pictures_can_be_drawn(size_hw):
    height, width = size_hw
    drawn = draw_detections(grey(*size_hw), found_in(height, width, [[0, 0, width, height]]))
    assert drawn.size == (width, height)


def test_values_boxes_without_area_can_be_drawn():
    draw_detections(grey(50, 50), found_in(50, 50, [[10, 10, 10, 10], [50, 50, 50, 50]]))


def test_values_nothing_found_leaves_the_picture():
    drawn = draw_detections(grey(20, 30), Detections.empty(("cat",), (20, 30)))
    assert (np.asarray(drawn) == 128).all()


def test_values_colours_of_a_few_classes_all_differ():
    for names in (("RBC", "WBC", "Platelets"), tuple("abcdefg"), tuple(f"class {i}" for i in range(21))):
        assert len(set(class_colours(names))) == len(names)
    assert set(class_colours(tuple("abcdefg"))) == set(PALETTE[:7])
    assert set(class_colours(tuple(f"class {i}" for i in range(300)))) <= set(PALETTE)


def test_values_a_colour_depends_on_the_name_alone():
    """As long as no earlier class has taken it."""
    first = {name: class_colours((name,))[0] for name in ("person", "dog", "car")}
    assert class_colours(("person", "zebra"))[0] == class_colours(("person",))[0] == first["person"]
    code = "from keras_ssd.drawing import class_colours; print(*class_colours(('person', 'dog', 'car')))"
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
        for _ in range(2)  # each with a hash seed of its own
    }
    assert runs == {" ".join(class_colours(("person", "dog", "car"))) + "\n"}


def test_values_text_stands_out_from_every_colour():
    for colour in PALETTE:
        assert contrast(text_colour(colour), colour) >= 4.5  # WCAG 2 level AA


def test_values_font_of_any_script_does_not_fail():
    draw_detections(grey(100, 100), found_in(100, 100, [[10, 30, 60, 60]], ("Füße 猫",)))


def test_values_line_and_font_can_be_chosen():
    found = found_in(100, 200, [[50, 40, 150, 80]])
    plain, bold = (np.asarray(draw_detections(grey(100, 200), found, line_width=w)) for w in (1, 9))
    assert (bold != 128).sum() > (plain != 128).sum()
    large = np.asarray(draw_detections(grey(100, 200), found, font_size=30))
    assert (large != 128).sum() > (plain != 128).sum()
    assert Image.fromarray(large).size == (200, 100)
