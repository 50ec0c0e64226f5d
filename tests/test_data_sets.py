"""Datasets as values: choosing, cutting, joining; dictionaries of Keras; the cache; statistics and the sheet."""

import dataclasses
import os
import pickle

import numpy as np
import pytest
from data_files import awkward_dataset, save_image
from PIL import Image

from keras_ssd import data
from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.data import Annotation, DataError, Dataset, Sample
from keras_ssd.data import cache as cache_module
from keras_ssd.data.dictionaries import BOUNDING_BOX_FORMATS

BOX = [2, 3, 10, 9]


def dataset(name="pets", classes=("cat", "dog", "ant"), count=10):
    """Image number p holds classes 0..p % 4 - 1; the first of each is difficult."""
    annotations = []
    for place in range(count):
        ids = np.arange(place % 4)
        annotations.append(Annotation(f"p{place}", f"/{name}/p{place}.jpg", [BOX] * len(ids), ids, (20, 30), ids == 0))
    return Dataset(name, classes, annotations)


def test_values_choosing():
    given = dataset()
    assert given.counts() == {"cat": 7, "dog": 4, "ant": 2}
    assert [a.name for a in given[2:4]] == [a.name for a in given[[2, 3]]] == ["p2", "p3"]
    assert given["p3"] is given[3]
    assert len(given[[]]) == 0
    assert given.filter(include=["dog", "ant"]).counts() == {"cat": 0, "dog": 4, "ant": 2}
    assert given.filter(exclude="dog", difficult=False).counts() == {"cat": 0, "dog": 0, "ant": 2}
    assert [a.name for a in given.filter(include="ant", empty=False)] == ["p3", "p7"]
    assert len(given.filter(where=lambda a: len(a) == 1)) == 3
    with pytest.raises(ValueError, match="Did you mean 'dog'"):
        given.filter(include="dogg")


def test_values_split_and_sample():
    given = dataset(count=20)
    train, val, test = given.split(0.7, 0.2, seed=4)
    assert [len(part) for part in (train, val, test)] == [14, 4, 2]
    names = [a.name for part in (train, val, test) for a in part]
    assert sorted(names) == sorted(a.name for a in given)
    assert given.split(0.7, 0.2, seed=4) == (train, val, test)
    assert given.split(0.7, 0.2, seed=5) != (train, val, test)
    halves = given.split(0.5, 0.5, group=lambda a: int(a.name[1:]) // 5)
    groups = [{int(a.name[1:]) // 5 for a in part} for part in halves]
    assert not groups[0] & groups[1]
    assert [len(part) for part in halves] == [10, 10]
    sample = given.sample(5, seed=1)
    assert len(sample) == 5
    assert sample == given.sample(5, seed=1)
    for wrong in ((), (0.0, 0.5), (0.8, 0.3)):
        with pytest.raises(ValueError, match="fractions must be positive"):
            given.split(*wrong)
    with pytest.raises(ValueError, match="20 images"):
        given.sample(21)


def test_values_classes_and_merge():
    given = dataset(count=4)
    joined = given.with_classes(["animal", "dog"], {"cat": "animal", "ant": "animal"})
    assert [a.class_ids.tolist() for a in joined] == [[], [0], [0, 1], [0, 1, 0]]
    assert given.with_classes(["dog"], others="drop").counts() == {"dog": 2}
    with pytest.raises(ValueError, match="has objects of cat, ant"):
        given.with_classes(["dog"])
    other = dataset("more", ("hound", "bird", "x"), count=4)
    both = given.merge(other, class_map={"hound": "dog"})
    assert both.classes == ("cat", "dog", "ant", "bird", "x")
    assert both.counts() == {"cat": 3, "dog": 5, "ant": 1, "bird": 2, "x": 1}
    assert [a.name for a in both[3:5]] == ["p3", "more/p0"]
    assert both[6].class_ids.tolist() == [1, 3]
    with pytest.raises(ValueError, match="is an image of both pets and pets"):
        given.merge(given)


def test_rejects_wrong_annotations():
    with pytest.raises(ValueError, match=r"shape \(M, 4\)"):
        Annotation("a", "a.jpg", [[1, 2, 3]], [0])
    with pytest.raises(ValueError, match="must be finite.*box 1"):
        Annotation("a", "a.jpg", [BOX, [1, np.nan, 3, 4]], [0, 0])
    with pytest.raises(ValueError, match="count from 0"):
        Annotation("a", "a.jpg", [BOX], [-1])
    with pytest.raises(ValueError, match="there are 1 classes"):
        Dataset("d", ("cat",), [Annotation("a", "a.jpg", [BOX], [1])])
    with pytest.raises(ValueError, match="two annotations"):
        Dataset("d", ("cat",), [Annotation("a", "a.jpg", [], [])] * 2)
    with pytest.raises(ValueError, match="read-only"):
        Annotation("a", "a.jpg", [BOX], [0]).boxes_xyxy[0] = 1


@pytest.mark.parametrize("name", BOUNDING_BOX_FORMATS)
def test_roundtrip_dictionaries(tmp_path, name):
    given = awkward_dataset(tmp_path)
    pairs = data.to_dictionaries(given, name, labels="classes", max_boxes=30)
    back = Dataset("back", given.classes, data.from_dictionaries(pairs, given.classes, name))
    for one, other in zip(given, back, strict=True):
        np.testing.assert_allclose(other.boxes_xyxy, one.boxes_xyxy, rtol=0, atol=2e-5)
        np.testing.assert_array_equal(other.class_ids, one.class_ids)
        np.testing.assert_array_equal(other.image, Sample.of(one).image)


def test_values_dictionaries():
    image = np.zeros((2, 20, 40, 3), "uint8")
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [-1] * 4], [[-1] * 4, [-1] * 4]])
    item = {"images": image, "bounding_boxes": {"boxes": boxes, "labels": np.array([[1, -1], [-1, -1]])}}
    first, second = data.from_dictionaries([item], ["cat", "dog"], "rel_yxyx")
    np.testing.assert_allclose(first.boxes_xyxy, [[8, 2, 24, 10]], rtol=1e-6)
    assert (first.class_ids.tolist(), len(second), second.name) == ([1], 0, "1")
    [resized] = data.to_dictionaries([first], "xywh", size_hw=(10, 20))
    np.testing.assert_allclose(resized["bounding_boxes"]["boxes"], [[4, 1, 8, 4]], rtol=1e-6)
    assert resized["images"].shape == (10, 20, 3)


def test_values_dictionaries_of_tf_data():
    tf = pytest.importorskip("tensorflow")
    boxes = tf.ragged.constant([[[1.0, 2, 9, 8], [3, 3, 5, 5]], [[0, 0, 4, 4]]], ragged_rank=1)
    labels = tf.ragged.constant([[0.0, 1], [1]])
    images = tf.zeros((2, 10, 12, 3))
    batches = tf.data.Dataset.from_tensor_slices((images, {"boxes": boxes, "classes": labels})).ragged_batch(2)
    found = list(data.from_dictionaries(batches, ["cat", "dog"]))
    assert [a.boxes_xyxy.tolist() for a in found] == [[[1, 2, 9, 8], [3, 3, 5, 5]], [[0, 0, 4, 4]]]
    assert [a.class_ids.tolist() for a in found] == [[0, 1], [1]]


def test_rejects_dictionaries():
    image = np.zeros((20, 40, 3), "uint8")

    def read(boxes, labels, **options):
        pair = {"images": image, "bounding_boxes": {"boxes": boxes, "labels": labels}}
        return list(data.from_dictionaries([pair], ["cat"], **options))

    with pytest.raises(DataError, match=r"image 0: object 1 \(cat\): it has no area"):
        read([[0, 0, 4, 4], [5, 5, 5, 9]], [0, 0])
    assert len(read([[0, 0, 4, 4], [5, 5, 5, 9]], [0, 0], policy="drop")[0]) == 1
    with pytest.raises(DataError, match="Unknown class '1'|Unknown class 1"):
        read([[0, 0, 4, 4]], [1])
    with pytest.raises(ValueError, match="Box 0 of image 0 is not finite"):
        read([[0, 0, np.nan, 4]], [0])
    with pytest.raises(ValueError, match="1 boxes and 2 labels"):
        read([[0, 0, 4, 4]], [0, 0])
    with pytest.raises(ValueError, match="Expected dictionaries with images and bounding_boxes"):
        list(data.from_dictionaries([{"image": image}], ["cat"]))
    with pytest.raises(ValueError, match="Did you mean .*'rel_xyxy'"):
        list(data.from_dictionaries([], ["cat"], "rel_xyx"))
    [annotation] = read([[0, 0, 4, 4]], [0])
    with pytest.raises(ValueError, match="has 1 objects. Received: max_boxes=0"):
        list(data.to_dictionaries([annotation], max_boxes=0))


def test_roundtrip_cache(tmp_path):
    given = awkward_dataset(tmp_path / "images")
    cached = data.cached(given, tmp_path / "cache")
    assert cached == given
    for one, other in zip(given, pickle.loads(pickle.dumps(cached)), strict=True):
        np.testing.assert_array_equal(Sample.of(one).image, Sample.of(other).image)
    small = data.cached(given, tmp_path / "cache", (20, 50))
    np.testing.assert_allclose(small[3].boxes_xyxy, [[2 * 50 / 33, 3 * 20 / 31, 10 * 50 / 33, 9 * 20 / 31]], rtol=1e-6)
    for one, other in zip(given, small, strict=True):
        sample = Sample.of(other)
        assert sample.size_hw == (20, 50)
        np.testing.assert_allclose(sample.boxes_xyxy, Sample.of(one).boxes_xyxy, atol=1e-6)


def test_values_cache_is_made_again_when_an_image_changes(tmp_path, monkeypatch):
    given = awkward_dataset(tmp_path / "images")
    data.cached(given, tmp_path / "cache")
    built = []
    build = cache_module._build
    monkeypatch.setattr(cache_module, "_build", lambda *args: built.append(1) or build(*args))
    data.cached(given, tmp_path / "cache")
    assert not built
    save_image(tmp_path / "images" / "many.png", (43, 97), seed=99)
    os.utime(tmp_path / "images" / "many.png", (1, 1))
    again = data.cached(given, tmp_path / "cache")
    assert built == [1]
    np.testing.assert_array_equal(Sample.of(again[0]).image, Sample.of(given[0]).image)
    with open(tmp_path / "cache" / "images.npy", "ab") as file:
        file.write(b"x")
    data.cached(given, tmp_path / "cache")
    assert built == [1, 1]


def test_rejects_caches_in_use_and_leaves_nothing_behind(tmp_path):
    given = awkward_dataset(tmp_path / "images")
    with pytest.raises(ValueError, match="is not a cache folder"):
        data.cached(given, tmp_path / "images")
    (tmp_path / "images" / "none.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match="none.png"):
        data.cached(given, tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_values_statistics():
    level = AnchorLevel.scaled((100, 100), (2, 2), 0.5)  # four squares of half the side
    boxes = [[0, 0, 50, 25], [10, 0, 60, 25], [0, 0, 10, 10], [0, 0, 99, 9]]
    one = Annotation("a", "a.jpg", boxes, [0, 0, 1, 1], (50, 100), crowd=[0, 0, 0, 1])
    found = data.statistics(
        Dataset("d", ("cat", "dog", "ant"), [one, dataclasses.replace(one[[]], name="b")]),
        AnchorSpec((100, 100), (level,)),
    )
    np.testing.assert_allclose(found.sizes, [0.5, 0.5, (0.1 * 0.2) ** 0.5], rtol=1e-5)
    np.testing.assert_allclose(found.aspect_ratios, [1, 1, 0.5], rtol=1e-5)
    np.testing.assert_allclose(found.best_iou, [1, 0.4 / 0.6, 0.02 / 0.25], rtol=1e-5)
    assert found.unmatched().tolist() == [False, False, True]
    assert found.per_image.tolist() == [3, 0]
    assert found.image_sizes == {(50, 100): 2}
    assert [row["objects"] for row in found.rows()] == [2, 1, 0]
    assert "unmatched: 1 objects (33.3%)" in str(found)
    with pytest.raises(ValueError, match="know no anchors"):
        data.statistics(dataset()).unmatched()


def test_values_sheet(tmp_path):
    image = np.full((40, 80, 3), 200, "uint8")
    samples = [Sample(image, [[0.25, 0.25, 0.75, 0.75]], [0], name="one" * 40), Sample(image, [], [], name="two")]
    sheet = np.asarray(data.contact_sheet(samples, ["cat"], cell=80))
    tile = sheet[34:74, 8:88]  # below the legend
    assert (tile[:8] == 200).all()
    assert (tile[20, 40] == 200).all()
    assert not (tile[10:13, 30:50] == 200).all()
    assert (sheet[34:74, 96:176] == 200).all()
    many = data.contact_sheet(samples * 3, [f"class {place}" for place in range(9)], columns=6, cell=64)
    assert many.width == 8 + 6 * (64 + 8)
    with pytest.raises(ValueError, match="at least one image"):
        data.contact_sheet([], ["cat"])
    odd = Annotation("g", Image.new("L", (1, 1)), [[0, 0, 1, 1]], [0])
    assert data.contact_sheet([odd], ["cat"]).size
