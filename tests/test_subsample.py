"""Sub-sampling by class name: which rows stay, which are fresh, and that kept classes see what they saw."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from foreign_files import random_arrays, ssd_shapes, thinned

from keras_ssd.formats import NamedArrays
from keras_ssd.names import fold
from keras_ssd.zoo import labels
from keras_ssd.zoo.read import load_weights_into
from keras_ssd.zoo.subsample import class_heads, match_classes, subsample

SOURCE = ("cat", "dining table", "Person", "airplane")


def head_arrays(classes, boxes=2, into=3, seed=0, background=True):
    """One class head and its localisation head."""
    width = boxes * (classes + background)
    shapes = {
        "fc7_mbox_conf": {"kernel": (3, 3, into, width), "bias": (width,)},
        "fc7_mbox_loc": {"kernel": (3, 3, into, boxes * 4), "bias": (boxes * 4,)},
    }
    return NamedArrays(random_arrays(shapes, seed), "test")


def test_values_bias_by_hand():
    """Two boxes per cell; the number says box, then class."""
    bias = np.array([10, 11, 12, 13, 20, 21, 22, 23], np.float32)
    kernel = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    fresh = {"kernel": -np.ones((1, 1, 1, 6), np.float32), "bias": -np.array([1, 2, 3, 4, 5, 6], np.float32)}
    arrays = NamedArrays({"fc7_mbox_conf": {"kernel": kernel, "bias": bias}}, "test")
    found, report = subsample(arrays, ["cat", "dog", "cow"], ["helmet", "dog"], initial={"fc7_mbox_conf": fresh})
    assert found["fc7_mbox_conf"]["bias"].tolist() == [10, -2, 12, 20, -5, 22]
    assert found["fc7_mbox_conf"]["kernel"].ravel().tolist() == [0, -1, 2, 4, -1, 6]
    assert report.kept == (("dog", "dog"),)
    assert report.initialised == ("helmet",)
    assert found.class_names == ("helmet", "dog")


def test_values_sigmoid_heads_have_no_background():
    arrays = NamedArrays({"classes4": {"bias": np.array([11, 12, 21, 22], np.float32)}}, "test")
    found, _ = subsample(arrays, ["cat", "dog"], ["dog"], background=False)
    assert found["classes4"]["bias"].tolist() == [12, 22]


@pytest.mark.parametrize("boxes", [1, 3, 4, 6])
def test_values_logits_of_kept_classes_are_unchanged(boxes):
    arrays = head_arrays(4, boxes)
    found, _ = subsample(arrays, SOURCE, ["Person", "cat"])
    x = np.random.default_rng(1).normal(size=(5, 27)).astype(np.float32)

    def logits(arrays, classes):
        weights = arrays["fc7_mbox_conf"]
        kernel = weights["kernel"].reshape(27, -1)
        out = np.stack([(x * kernel[:, i]).sum(1) + weights["bias"][i] for i in range(kernel.shape[1])], -1)
        return out.reshape(5, boxes, classes + 1)

    before, after = logits(arrays, 4), logits(found, 2)
    np.testing.assert_array_equal(after, before[..., [0, 3, 1]])  # background, Person, cat
    for weight in ("kernel", "bias"):
        np.testing.assert_array_equal(found["fc7_mbox_loc"][weight], arrays["fc7_mbox_loc"][weight])


def test_values_names_match_exactly_then_folded_then_by_synonym():
    source = ("airplane", "Dining Table", "motorcycle", "dining_table", "tv", "hot dog")
    wanted = ("aeroplane", "dining_table", "motorbike", "tvmonitor", "hotdog", "Dining Table", "helmet")
    assert match_classes(source, wanted) == [0, 3, 2, 4, 5, 1, None]
    assert match_classes(("aeroplane", "Airplane"), ("airplane",)) == [1]
    assert match_classes(("aeroplane",), ("plane",)) == [None]
    # Two source names that fold to the same: only an exact name chooses.
    assert match_classes(("hot dog", "hot_dog"), ("Hot-Dog", "hot_dog")) == [None, 1]
    assert fold("Potted_Plant") == fold("potted plant") == "pottedplant"


def test_values_all_of_voc_comes_out_of_coco():
    found = match_classes(labels("coco"), labels("voc"))
    assert None not in found
    # data/VOC0712/coco_voc_map.txt of the Caffe original, labels counted from 1.
    expected = [5, 2, 15, 9, 40, 6, 3, 16, 57, 20, 61, 17, 18, 4, 1, 59, 19, 58, 7, 63]
    assert [i + 1 for i in found] == expected


def test_values_report_says_all():
    arrays = head_arrays(4)
    fresh = head_arrays(4, seed=1).layers
    _, report = subsample(arrays, SOURCE, ["aeroplane", "cat", "helmet", "persn"], initial=fresh)
    text = str(report)
    assert "2 of 4 keep their trained rows: aeroplane (trained as 'airplane'), cat." in text
    assert "Newly initialised, to be trained: helmet, persn (did you mean 'Person'?)." in text
    other = replace(report, source_classes=("elephant", "dog"))
    assert "to be trained: helmet, persn." in str(other)


@pytest.mark.parametrize(
    ("source", "classes", "message"),
    [
        (SOURCE, [], "`classes` needs at least one"),
        ([], ["cat"], "`source_classes` needs at least one"),
        (SOURCE, ["cat", " "], "no empty one"),
        (SOURCE, ["cat", "cat"], "'cat'.*more than once"),
        (SOURCE, ["airplane", "aeroplane"], "'airplane' and 'aeroplane' are both the trained class"),
        (SOURCE, ["cat", "Background"], "must not name the background"),
        (SOURCE, ["__background__", "cat"], "must not name the background"),
        (SOURCE[:3], ["cat"], r"fc7_mbox_conf/kernel of shape \(3, 3, 3, 10\) cannot be 4 channels per box"),
        (SOURCE, ["helmet"], "New classes need initial values"),
    ],
)
def test_rejects_lists(source, classes, message):
    with pytest.raises(ValueError, match=message):
        subsample(head_arrays(4), source, classes)


def test_rejects_other_arguments():
    with pytest.raises(TypeError, match="list of class names"):
        subsample(head_arrays(4), SOURCE, "cat")
    with pytest.raises(ValueError, match="no class heads"):
        subsample(NamedArrays({}, "test"), SOURCE, ["cat"])
    with pytest.raises(ValueError, match="no class head 'classes9'"):
        subsample(head_arrays(4), SOURCE, ["cat"], heads=["classes9"])
    with pytest.raises(ValueError, match=r"Received: \(3, 3, 3, 10\)"):
        subsample(head_arrays(4), SOURCE, ["helmet"], initial=head_arrays(4, seed=1).layers)


def detector(classes, boxes=2, into=3):
    """One feature map with a class head and a localisation head."""
    x = keras.Input((4, 5, into))
    convolution = keras.layers.Conv2D
    confidence = convolution(boxes * (classes + 1), 3, padding="same", name="fc7_mbox_conf")
    offsets = convolution(boxes * 4, 3, padding="same", name="fc7_mbox_loc")
    return keras.Model(x, [confidence(x), offsets(x)])


@pytest.mark.numerical
def test_values_model_keeps_what_it_saw_and_says_what_is_fresh(caplog):
    old, new = detector(4), detector(3)
    arrays = head_arrays(4)
    load_weights_into(old, arrays)
    start = keras.ops.convert_to_numpy(new.get_layer("fc7_mbox_conf").kernel)
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        report = load_weights_into(new, arrays, source_classes=SOURCE, classes=["airplane", "helmet", "cat"])
    assert "Newly initialised, to be trained: helmet." in caplog.text
    assert str(report.classes) in str(report)
    x = np.random.default_rng(2).normal(size=(2, 4, 5, 3)).astype("float32")
    before, boxes_before = (keras.ops.convert_to_numpy(y) for y in old(x))
    after, boxes_after = (keras.ops.convert_to_numpy(y) for y in new(x))
    np.testing.assert_array_equal(boxes_after, boxes_before)
    before, after = before.reshape(2, 4, 5, 2, 5), after.reshape(2, 4, 5, 2, 4)
    np.testing.assert_allclose(after[..., [0, 1, 3]], before[..., [0, 4, 1]], rtol=0, atol=1e-5)
    now = keras.ops.convert_to_numpy(new.get_layer("fc7_mbox_conf").kernel)
    np.testing.assert_array_equal(now.reshape(3, 3, 3, 2, 4)[..., 2], start.reshape(3, 3, 3, 2, 4)[..., 2])


def test_values_nothing_is_logged_if_nothing_is_fresh(caplog):
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        load_weights_into(detector(2), head_arrays(4), source_classes=SOURCE, classes=["airplane", "cat"])
        load_weights_into(detector(4), head_arrays(4), source_classes=SOURCE, classes=SOURCE)
    assert not caplog.records


def test_values_class_names_of_the_file_are_used():
    arrays = replace(head_arrays(4), class_names=SOURCE)
    report = load_weights_into(detector(1), arrays, classes=["Person"])
    assert report.classes.kept == (("Person", "Person"),)


@pytest.mark.parametrize("kind", ["ssd300", "ssd512"])
def test_values_every_head_of_the_originals(kind):
    arrays = NamedArrays(random_arrays(thinned(ssd_shapes(kind, 80), 1)), "test")
    found, report = subsample(arrays, labels("coco"), ["dog", "person", "couch"])
    assert set(report.heads) == set(class_heads(arrays))
    boxes = {"ssd300": [4, 6, 6, 6, 4, 4], "ssd512": [4, 6, 6, 6, 6, 4, 4]}[kind]
    assert [found[head]["bias"].size for head in report.heads] == [4 * n for n in boxes]
