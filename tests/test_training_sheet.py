"""The sheet that a training leaves: telling images, the truth beside what was found, with scores."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_ssd.data import Annotation, Dataset
from keras_ssd.detections import Detections
from keras_ssd.training import sheet as module
from keras_ssd.training.sheet import sheet, telling

CLASSES = ("car", "dog", "kite")


def image(name, class_ids, size_hw=(60, 80)):
    boxes = [[10 + 5 * place, 10, 30 + 5 * place, 30] for place in range(len(class_ids))]
    return Annotation(name, np.full((*size_hw, 3), 90, np.uint8), boxes, class_ids, size_hw)


def dataset(*rows):
    return Dataset("set", CLASSES, [image(f"image {place}", ids) for place, ids in enumerate(rows)])


def test_values_telling_images_show_every_class_first():
    rows = [[0], [0], [0, 0], [0], [1, 0], [0], [2], [0], [0]]
    assert telling(dataset(*rows), 3) == [4, 6, 0]
    # car and dog, then kite, then the classes anew: a car alone, furthest from the two that are chosen
    assert sorted(telling(dataset(*rows), 9)) == list(range(9))


def test_values_telling_images_end_with_one_without_objects():
    rows = [[], [0], [], [1], [], [2]]
    assert telling(dataset(*rows), 3) == [1, 5, 2]
    assert telling(dataset(*rows), 6) == [1, 5, 3, 2, 4, 0]
    assert telling(dataset([], [], []), 2) == [1, 2]
    assert telling(dataset([0]), 6) == [0]


@pytest.fixture
def drawn(monkeypatch):
    """What the sheet draws: `draw(dataset, found boxes)` gives the sheet and what was asked of the detector."""

    def draw(data, boxes, scores):
        asked = {}

        def detect(model, sources, *, confidence, engine):
            images = [source.image for source in sources]
            asked.update(images=images, confidence=confidence)
            return [Detections(boxes, scores, [0] * len(boxes), CLASSES, np.shape(one)[:2]) for one in images]

        monkeypatch.setattr(module, "detections_or_errors", detect)
        return sheet(SimpleNamespace(confidence=None), data), asked

    return draw


def test_values_the_sheet_is_a_grid_that_fits_a_screen(drawn):
    data = dataset(*([0, 1, 2] for _ in range(20)))
    sheet, asked = drawn(data, [[10, 10, 30, 30]], [0.9])
    assert len(asked["images"]) == 6
    assert asked["confidence"] == 0.3
    width, height = sheet.size
    assert width == 1648
    assert 1.3 < width / height < 2.0
    tall = Dataset("tall", CLASSES, [image(str(place), [0], (300, 30)) for place in range(6)])
    assert drawn(tall, [[1, 1, 9, 9]], [0.9])[0].size == (1648, 3 * (330 + 24 + 10) + 34)
    assert drawn(dataset([0]), [[10, 10, 30, 30]], [0.9])[0].size[0] == 824


def test_values_truth_is_left_and_what_was_found_right_with_its_score(drawn, monkeypatch):
    texts = []
    real = module.draw_boxes
    monkeypatch.setattr(module, "draw_boxes", lambda *args: texts.append([one.text for one in args[3]]) or real(*args))
    data = dataset([1, 2])
    nothing, _ = drawn(data, np.zeros((0, 4)), [])
    image, _ = drawn(data, [[10, 10, 30, 30]], [0.87])
    assert texts[-1] == ["dog", "kite"]
    left, right = ((0, 0, 412, nothing.height), (414, 0, *nothing.size))
    changed = [
        (np.asarray(nothing.crop(part), int) != np.asarray(image.crop(part), int)).any() for part in (left, right)
    ]
    assert changed == [False, True]
    again, _ = drawn(data, [[10, 10, 30, 30]], [0.42])
    assert again.tobytes() != image.tobytes()  # the score stands there
