"""`Detections` in the forms of other programs: crops, YOLO's lines, pandas, supervision."""

import sys
import types

import numpy as np
import pytest

from keras_ssd.detections import Detections

NAMES = ("car", "dog")


@pytest.fixture
def found():
    image = np.arange(40 * 80 * 3, dtype=np.uint8).reshape(40, 80, 3)
    boxes = [[10, 5, 30, 25], [0.4, 0, 80, 40]]
    return Detections(boxes, [0.9, 0.5], [1, 0], NAMES, (40, 80), "a.jpg", image, [3, -1], 7, 0.28)


def test_values_crops(found):
    first, second = found.crop()
    np.testing.assert_array_equal(first, found.image[5:25, 10:30])
    assert second.shape == (40, 80, 3)
    assert found[:1].crop(margin=0.5)[0].shape == (35, 40, 3)  # cut at the image's upper edge
    assert found[:1].crop(np.zeros((80, 160, 3), np.uint8))[0].shape == (40, 40, 3)  # an image of twice the size
    edge = Detections([[80, 40, 80, 40]], [0.9], [0], NAMES, (40, 80), None, found.image)
    assert edge.crop()[0].shape == (1, 1, 3)
    with pytest.raises(ValueError, match="Pass it: found.crop"):
        Detections.empty(NAMES, (9, 9)).crop()


def test_values_lines_of_yolo(found):
    assert found.to_yolo()[0] == "1 0.250000 0.375000 0.250000 0.500000"
    assert found.to_yolo(scores=True)[0] == "1 0.250000 0.375000 0.250000 0.500000 0.9"
    assert Detections.empty(NAMES, (9, 9)).to_yolo() == []


def test_values_of_pandas(found, monkeypatch):
    tables = []
    module = types.SimpleNamespace(DataFrame=lambda rows=None, columns=None: tables.append((rows, columns)))
    monkeypatch.setitem(sys.modules, "pandas", module)
    found.to_pandas()
    row = {"source": "a.jpg", "name": "dog", "class_id": 1, "score": pytest.approx(0.9)}
    row |= {"xmin": 10.0, "ymin": 5.0, "xmax": 30.0, "ymax": 25.0, "frame": 7, "time": 0.28, "track_id": 3}
    assert tables[0][0][0] == row
    Detections.empty(NAMES, (9, 9)).to_pandas()
    assert tables[1] == (None, [*row][:8])


def test_values_of_supervision(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", types.SimpleNamespace(Detections=types.SimpleNamespace))
    told = found.to_supervision()
    assert told.xyxy.shape == (2, 4)
    assert (told.class_id.tolist(), told.tracker_id.tolist()) == ([1, 0], [3, -1])
    assert told.data["class_name"].tolist() == ["dog", "car"]


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_rejects_packages_that_are_missing(found, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs the package `{package}`: pip install {package}"):
        getattr(found, f"to_{package}")()
