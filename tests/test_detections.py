"""`Detections` as a value: validated, read-only, sliceable, and written and read without loss."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from keras_ssd.detections import Detection, Detections
from keras_ssd.images import ImageError

NAMES = ("car", "person", "dog")
BOXES = [[0, 0, 10, 20], [5.5, 6.25, 100, 50], [30, 40, 70, 90]]


@pytest.fixture
def found():
    return Detections(BOXES, [0.5, 0.9, 0.7], [0, 2, 0], NAMES, (100, 200), "street.jpg")


def test_values_rows_fall_by_score(found):
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.5])
    np.testing.assert_array_equal(found.class_ids, [2, 0, 0])
    np.testing.assert_array_equal(found.boxes_xyxy, [BOXES[1], BOXES[2], BOXES[0]])
    assert found.names == ("dog", "car", "car")
    np.testing.assert_allclose(found.areas, [94.5 * 43.75, 40 * 50, 200])


def test_values_equal_scores_keep_their_order():
    found = Detections(np.eye(4), [0.5] * 4, [2, 1, 0, 1], NAMES, (9, 9))
    np.testing.assert_array_equal(found.class_ids, [2, 1, 0, 1])


def test_values_one_row(found):
    assert found[0] == Detection("dog", pytest.approx(0.9), (5.5, 6.25, 100, 50), 2)
    assert found[-1].name == "car"
    assert [row.name for row in found] == ["dog", "car", "car"]
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (slice(1), [0.9]),
        (slice(None, None, 2), [0.9, 0.5]),
        ([2, 0], [0.9, 0.5]),
        ([], []),
        ([True, False, True], [0.9, 0.5]),
        (np.array([False] * 3), []),
        (np.array([1]), [0.7]),
    ],
)
def test_values_parts(found, index, kept):
    part = found[index]
    assert isinstance(part, Detections)
    assert (part.class_names, part.size_hw, part.source) == (NAMES, (100, 200), "street.jpg")
    np.testing.assert_allclose(part.scores, kept)


def test_values_filter(found):
    assert found.filter(confidence=0.7).scores.tolist() == found.scores[:2].tolist()  # the bound itself passes
    assert found.filter(classes="car").names == ("car", "car")
    assert found.filter(classes=["dog", "person"]).names == ("dog",)
    assert found.filter(min_area=2000).names == ("dog", "car")
    assert len(found.filter(confidence=0.6, classes="car", min_area=100)) == 1
    assert found.filter() == found


def test_rejects_unknown_class_in_filter(found):
    with pytest.raises(ValueError, match=r"Unknown class 'persn'\. Did you mean 'person'"):
        found.filter(classes="persn")


def test_values_nothing_found():
    empty = Detections.empty(NAMES, (3, 4), "a.jpg")
    assert len(empty) == 0
    assert list(empty) == []
    assert empty.boxes_xyxy.shape == (0, 4)
    assert empty.names == ()
    assert len(empty.filter(confidence=0.1, classes="dog", min_area=1)) == 0
    assert "nothing found" in str(empty)
    assert Detections.from_dict(empty.to_dict()) == empty
    assert empty.to_coco(1) == []
    assert Detections([], [], [], NAMES, (3, 4), "a.jpg") == empty


def test_values_cannot_be_changed(found):
    for array in (found.boxes_xyxy, found.scores, found.class_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.scores = None


def test_values_given_arrays_are_copied():
    scores = np.array([0.5], np.float32)
    found = Detections(BOXES[:1], scores, [0], NAMES, (9, 9))
    scores[0] = 0.1
    assert found.scores[0] == 0.5


def test_values_equality(found):
    assert found == dataclasses.replace(found)
    assert found == dataclasses.replace(found, image=np.zeros((2, 2)))
    for other in (
        dataclasses.replace(found, source="b.jpg"),
        dataclasses.replace(found, size_hw=(200, 100)),
        dataclasses.replace(found, scores=found.scores * 0.5),
        dataclasses.replace(found, class_ids=found.class_ids * 0),
        found[:2],
        "street.jpg",
    ):
        assert found != other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"boxes_xyxy": np.zeros((3, 5))}, r"boxes_xyxy=\(3, 5\)"),
        ({"boxes_xyxy": np.zeros((4, 3))}, r"boxes_xyxy=\(4, 3\)"),
        ({"scores": [0.5]}, r"scores=\(1,\)"),
        ({"class_ids": [0, 1]}, r"class_ids=\(2,\)"),
        ({"scores": [0.5, np.nan, 0.1]}, "finite"),
        ({"boxes_xyxy": np.full((3, 4), np.inf)}, "finite"),
        ({"class_ids": [0, 1, 3]}, r"0\.\.2.*from 0 to 3"),
        ({"class_ids": [-1, 0, 1]}, "from -1 to 1"),
        ({"class_ids": [0.0, 1.0, 1.0]}, "float64"),
        ({"class_names": "car"}, "class_names='car'"),
        ({"size_hw": (0, 5)}, "size_hw"),
        ({"size_hw": (1, 2, 3)}, "size_hw"),
    ],
)
def test_rejects_what_does_not_agree(found, change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        dataclasses.replace(found, **change)


def test_roundtrip_dict_json_and_pickle(found):
    assert Detections.from_dict(found.to_dict()) == found
    assert Detections.from_dict(json.loads(found.to_json(indent=1))) == found
    assert pickle.loads(pickle.dumps(found)) == found


def test_roundtrip_of_random_float32_is_exact():
    rng = np.random.default_rng(0)
    scores = rng.random(100, np.float32)
    found = Detections(rng.random((100, 4), np.float32) * 999, scores, rng.integers(0, 3, 100), NAMES, (9, 9))
    assert Detections.from_dict(json.loads(found.to_json())) == found


def test_values_dict(found):
    values = found[:1].to_dict()
    assert values == {
        "source": "street.jpg",
        "height": 100,
        "width": 200,
        "class_names": ["car", "person", "dog"],
        "detections": [{"name": "dog", "class_id": 2, "score": 0.9, "box_xyxy": [5.5, 6.25, 100.0, 50.0]}],
    }


def test_rejects_dict_of_something_else(found):
    values = found.to_dict()
    del values["height"]
    with pytest.raises(ValueError, match="Missing key: 'height'"):
        Detections.from_dict(values)


def test_values_coco(found):
    rows = found[:1].to_coco(42)
    assert rows == [{"image_id": 42, "category_id": 2, "bbox": [5.5, 6.25, 94.5, 43.75], "score": 0.9}]
    assert [row["category_id"] for row in found.to_coco(42, [3, 1, 18])] == [18, 3, 3]
    by_name = {"dog": 18, "car": 3, "person": 1, "cat": 17}
    assert [row["category_id"] for row in found.to_coco(42, by_name)] == [18, 3, 3]
    json.dumps(found.to_coco(42))


def test_rejects_category_ids_that_leave_out_a_class(found):
    with pytest.raises(ValueError, match="person, dog"):
        found.to_coco(1, {"car": 3})
    with pytest.raises(ValueError, match=r"3 classes\. Received: 2 ids"):
        found.to_coco(1, [1, 2])


def test_values_table_is_aligned(found):
    lines = str(found).splitlines()
    assert lines[0] == "street.jpg (200 x 100): 3 found"
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[2].split() == ["dog", "0.90", "5.5", "6.2", "100.0", "50.0"]
    assert repr(found) == "<Detections: 3 in street.jpg>"


def test_values_draw_finds_the_image(found, tmp_path):
    grey = np.full((100, 200, 3), 90, np.uint8)
    path = tmp_path / "street.png"
    Image.fromarray(grey).save(path)
    for drawn in (
        dataclasses.replace(found, source=str(path)).draw(),
        dataclasses.replace(found, source="array 0", image=grey).draw(),
        found.draw(path),
        found.draw(Image.fromarray(grey)),
        found.draw(grey),
    ):
        assert drawn.size == (200, 100)
        assert (np.asarray(drawn) != 90).any()
    assert (grey == 90).all()


def test_rejects_draw_without_an_image(found):
    with pytest.raises(ValueError, match="do not know their image"):
        dataclasses.replace(found, source=None).draw()
    with pytest.raises(ImageError, match="no such file"):
        found.draw()


def test_values_notebooks_show_the_drawing_or_nothing(found):
    shown = dataclasses.replace(found, image=np.zeros((2100, 3000, 3), np.uint8))._repr_png_()
    assert shown.startswith(b"\x89PNG")
    assert found._repr_png_() is None
