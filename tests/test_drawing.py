"""Drawn boxes: in the right place, legible at every size, in colours that stay."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ssd.detections import Detections
from keras_ssd.drawing import PALETTE, class_colours, draw_detections, score_text, text_colour
from keras_ssd.label_places import Placing


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


def test_values_boxes_are_scaled_to_the_image_drawn_on():
    found = found_in(1000, 2000, [[500, 200, 1500, 800]])
    small = draw_detections(grey(100, 200), found, labels=False, line_width=1)
    same = draw_detections(grey(100, 200), found_in(100, 200, [[50, 20, 150, 80]]), labels=False, line_width=1)
    np.testing.assert_array_equal(np.asarray(small), np.asarray(same))


def test_values_the_best_box_lies_on_top():
    found = found_in(100, 100, [[10, 10, 60, 60], [10, 10, 60, 60]], ("cat", "dog"))
    drawn = np.asarray(draw_detections(grey(100, 100), found, labels=False))
    assert tuple(drawn[10, 30]) == rgb(class_colours(("cat", "dog"))[0])


@pytest.mark.parametrize(("height", "width"), [(80, 100), (480, 640), (4000, 6000)])
def test_values_lines_and_letters_grow_with_the_image(height, width):
    boxes = np.array([[0.2, 0.3, 0.7, 0.8]]) * [width, height, width, height]
    drawn = np.asarray(draw_detections(grey(height, width), found_in(height, width, boxes)))
    painted = (drawn != 128).any(axis=2)
    line = painted[int(0.75 * height), : width // 2].sum()  # across the left side, below the label
    assert 1 <= line <= max(3, 0.02 * width)
    assert line >= 0.003 * width
    label_rows = painted[: int(0.3 * height), int(0.22 * width)].sum()
    assert max(10, 0.02 * height) <= label_rows <= max(16, 0.08 * height)


def label_places(boxes, size_hw, monkeypatch, names=("elephant",)):
    """Rows and `Place`s (None for no label) of all labels, and the key's place or None."""
    places, keys = {}, []
    near, rim = Placing.near, Placing.at_the_rim

    def spied_near(self, row, sizes_wh):
        places[row] = near(self, row, sizes_wh)
        return places[row]

    def spied_rim(self, size_wh):
        keys.append(rim(self, size_wh))
        return keys[-1]

    monkeypatch.setattr(Placing, "near", spied_near)
    monkeypatch.setattr(Placing, "at_the_rim", spied_rim)
    draw_detections(grey(*size_hw), found_in(*size_hw, boxes, names))
    return places, next((key for key in keys if key), None)


def shared(one, other):
    """(K, L) area that rectangles share."""
    one, other = np.reshape(one, (-1, 4)), np.reshape(other, (-1, 4))
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=2)


def crowd(size_hw, count, seed=0):
    """(count, 4) boxes of which many overlap."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    middles, sizes = rng.uniform(0.03, 0.97, (count, 2)), rng.uniform(0.02, 0.12, (count, 2))
    corners = np.clip(np.hstack([middles - sizes / 2, middles + sizes / 2]), 0, 1)
    return corners * [width, height, width, height]


@pytest.mark.parametrize(
    "box", [[0, 0, 30, 30], [270, 0, 300, 30], [0, 170, 30, 200], [270, 170, 300, 200], [0, 0, 300, 200]]
)
def test_values_labels_stay_inside_the_image(box, monkeypatch):
    places, _ = label_places([box], (200, 300), monkeypatch)
    xmin, ymin, xmax, ymax = places[0].xyxy
    assert places[0].rung == 0
    assert places[0].leader is None
    assert 0 <= xmin < xmax <= 300
    assert 0 <= ymin < ymax <= 200


@pytest.mark.parametrize(
    ("size_hw", "count"),
    [
        ((100, 100), 1),
        ((100, 100), 3),
        ((100, 100), 200),
        ((480, 640), 3),
        ((480, 640), 60),
        ((480, 640), 200),
        ((3000, 4000), 200),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_values_labels_keep_off_each_other_and_off_objects(size_hw, count, seed, monkeypatch):
    boxes = crowd(size_hw, count, seed)
    found, key = label_places(boxes, size_hw, monkeypatch, ("person", "kite", "traffic light"))
    order = np.arange(count)  # `found_in` gives falling scores
    assert sorted(found) == order.tolist()
    places = np.array([place.xyxy for place in found.values() if place] + ([key] if key else [])).reshape(-1, 4)
    between = shared(places, places)
    assert (between[~np.eye(len(places), dtype=bool)] == 0).all()
    assert (places >= 0).all()
    assert (places[:, 2:] <= (size_hw[1], size_hw[0])).all()
    areas = np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1)
    hidden = shared(boxes, places).sum(axis=1) / areas
    assert hidden.max(initial=0) <= 0.15 + 1e-5  # of an object, by all labels together


@pytest.mark.parametrize("count", [20, 200])
def test_values_every_label_touches_its_box_or_a_line_leads_there(count, monkeypatch):
    boxes = crowd((480, 640), count)
    found, _ = label_places(boxes, (480, 640), monkeypatch, ("person", "kite"))
    written = {row: place for row, place in found.items() if place}
    assert len(written) >= 0.75 * count
    lines = 0
    for row, place in written.items():
        gap = np.maximum(np.maximum(boxes[row][:2] - place.xyxy[2:], place.xyxy[:2] - boxes[row][2:]), 0)
        if place.leader is None:
            assert gap.sum() <= 2.5
            continue
        lines += 1
        start, end = np.array(place.leader)
        assert shared([*start - 1, *start + 1], place.xyxy).any()
        assert shared([*end - 1, *end + 1], boxes[row]).any()
        others = [other.xyxy for number, other in written.items() if number != row]
        middle = (start + end) / 2
        assert not shared([*middle - 0.1, *middle + 0.1], others).any()
        assert np.hypot(*(end - start)) < 130
    assert lines or count < 200


def test_values_a_label_goes_beside_a_small_object_and_not_onto_it(monkeypatch):
    small = np.array([[300, 200, 312, 210], [316, 200, 328, 210], [300, 214, 312, 224], [316, 214, 328, 224]])
    found, key = label_places(small, (480, 640), monkeypatch)
    assert key is None
    assert [place.rung for place in found.values()] == [0, 0, 0, 0]
    assert shared(small, [place.xyxy for place in found.values()]).max() <= 0.15 * 120


def test_values_labels_of_one_object_found_four_times_are_all_written(monkeypatch):
    boxes = [[100 + 3 * i, 100 + 2 * i, 240 + 3 * i, 220 + 2 * i] for i in range(4)]
    found, key = label_places(boxes, (400, 500), monkeypatch)
    assert [place.rung for place in found.values()] == [0, 0, 0, 0]
    assert key is None


def test_values_what_has_no_room_is_written_in_short_and_the_key_tells_the_class(monkeypatch):
    boxes = crowd((480, 640), 200)
    found, key = label_places(boxes, (480, 640), monkeypatch, ("person", "traffic light"))
    assert key is not None
    rungs = [place.rung for place in found.values() if place]
    assert rungs.count(0) > 40
    assert rungs.count(2) > 10
    assert found[0].rung == 0  # the best has the first choice


def test_values_without_room_for_the_name_the_score_alone_is_written(monkeypatch):
    found, _ = label_places([[4, 18, 14, 26]], (30, 24), monkeypatch, names=("a very long class name",))
    assert found[0].rung == 2
    found, _ = label_places([[0, 0, 4, 4]], (6, 6), monkeypatch)
    assert found[0] is None


def test_values_the_key_is_drawn_in_the_colours_of_the_classes(monkeypatch):
    boxes, names = crowd((480, 640), 200), ("person", "kite")
    _, (xmin, ymin, _, ymax) = label_places(boxes, (480, 640), monkeypatch, names)
    drawn = np.asarray(draw_detections(grey(480, 640), found_in(480, 640, boxes, names)))
    rows = {tuple(drawn[y, xmin + 1]) for y in range(ymin + 1, ymax - 1)}
    assert rows == {rgb(colour) for colour in class_colours(names)}
    assert (drawn[ymin:ymax, xmin] == 255).all()  # its outline


def test_values_the_same_boxes_give_the_same_image():
    boxes = crowd((480, 640), 120)
    one, other = (draw_detections(grey(480, 640), found_in(480, 640, boxes, ("a", "b"))) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_values_small_objects_have_thin_lines():
    found = found_in(2000, 2000, [[1000, 1000, 1024, 1024]])
    drawn = np.asarray(draw_detections(grey(2000, 2000), found, labels=False))
    assert tuple(drawn[1012, 1004]) == (128, 128, 128)  # lines of 9 pixels would hide it
    assert tuple(drawn[1012, 1001]) == rgb(class_colours(("cat",))[0])


def test_values_scores_are_short():
    assert [score_text(score) for score in (0.0, 0.004, 0.25, 0.994, 0.996, 1.0)] == [
        ".00",
        ".00",
        ".25",
        ".99",
        "1.0",
        "1.0",
    ]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1)])
def test_values_the_smallest_images_can_be_drawn(size_hw):
    height, width = size_hw
    drawn = draw_detections(grey(*size_hw), found_in(height, width, [[0, 0, width, height]]))
    assert drawn.size == (width, height)


def test_values_boxes_without_area_can_be_drawn():
    draw_detections(grey(50, 50), found_in(50, 50, [[10, 10, 10, 10], [50, 50, 50, 50]]))


def test_values_nothing_found_leaves_the_image():
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
    code = (
        "import sys; sys.orig_argv = ['python', '-m', 'keras_ssd']\n"  # so that no backend is loaded
        "from keras_ssd.drawing import class_colours; print(*class_colours(('person', 'dog', 'car')))"
    )
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
