"""Tiles of large images: where they lie, and one box for each object on their borders."""

import numpy as np
import pytest
from tiny_models import tiny_ssd

from keras_ssd.pipeline import Detecting
from keras_ssd.tiling import Tiling


def in_view(view, *boxes):
    """Rows of boxes (class id, score, xmin, ymin, xmax, ymax in pixels of the image) as a view's network gives them."""
    xmin, ymin, xmax, ymax = view
    scale = np.array([xmax - xmin, ymax - ymin] * 2)
    rows = [[kind, score, *((np.array(box) - [xmin, ymin] * 2) / scale)] for kind, score, *box in boxes]
    return np.array(rows, np.float32).reshape(-1, 6)


def merged(tiling, size_hw, *found):
    """What becomes of the boxes found in each view, in pixels."""
    rows = [in_view(view, *boxes) for view, boxes in zip(tiling.views(size_hw), found, strict=True)]
    scale = np.array([*size_hw[::-1], *size_hw[::-1]])
    rows = tiling.merged(rows, size_hw)
    return [(int(row[0]), round(float(row[1]), 3), *np.round(row[2:] * scale).astype(int).tolist()) for row in rows]


def test_values_views_cover_the_image_evenly():
    tiling = Tiling(640, 0.2)
    assert tiling.views((480, 640)) == [(0, 0, 640, 480)]
    assert tiling.views((640, 1000)) == [(0, 0, 1000, 640), (0, 0, 640, 640), (360, 0, 1000, 640)]
    views = np.array(tiling.views((4000, 3000))[1:])
    assert set(map(tuple, views[:, 2:] - views[:, :2])) == {(640, 640)}
    seen = np.zeros((4000, 3000), bool)
    for xmin, ymin, xmax, ymax in views:
        seen[ymin:ymax, xmin:xmax] = True
    assert seen.all()
    starts = np.unique(views[:, 0])
    assert np.diff(starts).max() <= 640 * 0.8 + 1


# Tiles of 100 on 180 x 100: 0..100 and 80..180.
TILING, SIZE = Tiling(100, 0.2), (100, 180)
WIDE, HIGH, OTHER = (0, 0.5, 60, 20, 120, 60), (0, 0.7, 60, 5, 100, 25), (1, 0.9, 80, 20, 120, 60)


@pytest.mark.parametrize(
    ("whole", "left", "right", "expected"),
    [
        # seen whole by one tile, cut by the other
        ([], [(0, 0.9, 84, 20, 96, 60)], [(0, 0.8, 84, 21, 96, 60)], [(0, 0.9, 84, 20, 96, 60)]),
        ([], [(0, 0.9, 85, 20, 100, 60)], [(0, 0.8, 85, 20, 110, 60)], [(0, 0.8, 85, 20, 110, 60)]),
        # too wide for the overlap: the parts are joined
        ([], [(0, 0.7, 60, 20, 100, 60)], [(0, 0.9, 80, 21, 120, 61)], [(0, 0.9, 60, 20, 120, 61)]),
        # seen in the whole image, too
        ([WIDE], [(0, 0.7, 60, 20, 100, 60)], [(0, 0.9, 80, 21, 120, 61)], [WIDE]),
        # two objects that are no continuation of each other
        ([], [HIGH], [(0, 0.9, 80, 60, 120, 90)], [(0, 0.9, 80, 60, 120, 90), HIGH]),
        ([], [(0, 0.7, 60, 20, 100, 60)], [OTHER], [OTHER, (0, 0.7, 60, 20, 100, 60)]),
        # the border of the image cuts nothing
        ([], [(0, 0.7, 0, 20, 40, 60)], [], [(0, 0.7, 0, 20, 40, 60)]),
        ([], [], [], []),
    ],
)
def test_values_an_object_on_a_border_comes_out_once(whole, left, right, expected):
    assert merged(TILING, SIZE, whole, left, right) == expected


def test_values_an_object_over_four_tiles_comes_out_once():
    tiling, size = Tiling(100, 0.2), (180, 180)
    quarters = [(0, 0.6, 60, 60, 100, 100), (0, 0.7, 80, 60, 120, 100), (0, 0.8, 60, 80, 100, 120)]
    found = [[box] for box in (*quarters, (0, 0.9, 80, 80, 120, 120))]
    assert merged(tiling, size, [], *found) == [(0, 0.9, 60, 60, 120, 120)]


class Dots:
    """Stands for a network: finds bright dots that are at least 3 pixels wide in its input."""

    size_hw, num_classes = (50, 50), 1

    def __init__(self):
        self.batches = []

    def begin(self):
        pass

    def rows(self, images, batch):
        self.batches.append((len(images), batch))
        return np.stack([self._rows(image) for image in images])

    def _rows(self, image):
        rows = np.full((4, 6), -1, np.float32)
        bright = image[..., 0] > 128
        columns = np.flatnonzero(bright.any(axis=0))
        parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else ()
        for place, part in enumerate(parts):
            lines = np.flatnonzero(bright[:, part].any(axis=1))
            if len(part) >= 3:
                box = [part[0] / 50, lines[0] / 50, (part[-1] + 1) / 50, (lines[-1] + 1) / 50]
                rows[place] = [0, 0.9, *box]
        return rows


def test_values_tiles_find_what_the_whole_image_hides():
    image = np.zeros((400, 400, 3), np.uint8)
    for x, y in ((40, 40), (196, 120), (300, 300)):  # the second lies where tiles meet
        image[y : y + 12, x : x + 12] = 255
    network = Dots()
    without = Detecting(network, ("dot",), 0.5, None, 4, 1, 10**8)
    assert [len(found) for found in without.run(sources(image))] == [0]
    tiled = Detecting(network, ("dot",), 0.5, None, 4, 1, 10**8, Tiling(100, 0.2))
    [found] = tiled.run(sources(image))
    boxes = found.boxes_xyxy[np.argsort(found.boxes_xyxy[:, 0])]
    np.testing.assert_allclose(boxes, [[40, 40, 52, 52], [196, 120, 208, 132], [300, 300, 312, 312]], atol=3)
    assert max(count for count, _ in network.batches) <= 4  # tiles go through in batches
    pair = list(tiled.run(sources(image, image[:50, :50])))  # a small image is not cut
    assert [len(found) for found in pair] == [3, 1]


def sources(*images):
    from keras_ssd.images import expand_sources

    return expand_sources(list(images))


@pytest.mark.parametrize("engine", ["keras", "onnxruntime"])
def test_values_of_every_engine(engine):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (100, 130, 3)).astype(np.uint8)
    model = tiny_ssd()
    [found] = model.detect(image, tiles=64, confidence=0.05, engine=engine)
    assert len(found) > 0
    assert found.size_hw == (100, 130)
    assert (found.boxes_xyxy[:, 2] <= 130).all()
    views = Tiling(64, 0.2).views((100, 130))
    assert len(views) == 1 + 2 * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tiles": 0}, "tiles must be the side of a tile in pixels, a whole number from 32 on. Received: tiles=0"),
        ({"tiles": 64.5}, "Received: tiles=64.5"),
        ({"tiles": 64, "overlap": 1}, r"overlap must lie in 0..0.9. Received: overlap=1"),
    ],
)
def test_rejects_tiles_that_are_none(options, said):
    with pytest.raises(ValueError, match=said):
        tiny_ssd().detect([], **options)


def test_values_evaluating_in_tiles():
    from keras_ssd import data, evaluation

    image = np.random.default_rng(0).integers(0, 256, (100, 130, 3)).astype(np.uint8)
    annotation = data.Annotation("a", image, [[10, 10, 30, 40]], [0], (100, 130))
    dataset = data.Dataset("one", ("cat", "dog"), [annotation])
    model = tiny_ssd()
    whole = evaluation.collect(model, dataset, confidence=0.05, progress=False, engine="keras")
    tiled = evaluation.collect(model, dataset, confidence=0.05, progress=False, engine="keras", tiles=64)
    [found] = model.detect(image, tiles=64, confidence=0.05, engine="keras")
    assert len(tiled.scores) == len(found) != len(whole.scores)
