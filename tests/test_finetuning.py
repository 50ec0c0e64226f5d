"""Heads cut out of a trained detector by class name: what was learnt stays, and what is new can be learnt."""

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd.box_coder import Predictions
from keras_ssd.data import Annotation, Dataset
from keras_ssd.decoding import DecodeOptions, decode_arrays
from keras_ssd.images import read_image
from keras_ssd.training import train

TRAFFIC = ("car", "truck", "pedestrian", "bicyclist", "light")
IMAGES = ("1478899159823020309", "1478899365487445082")


@pytest.fixture
def traffic(shared):
    """The trained weights' file and two images of streets."""
    folder = shared("weights", "ssd7_traffic")
    return folder / "ssd7_traffic.h5", [read_image(folder / f"{name}.jpg") for name in IMAGES]


def cut(file, classes, **options):
    return keras_ssd.ssd7(weights=file, weights_classes=TRAFFIC, classes=classes, **options)


def predictions(model, images):
    return Predictions.split(keras.ops.convert_to_numpy(model.predict_on_batch(np.stack(images))))


@pytest.mark.numerical
def test_values_kept_classes_detect_the_same_as_before_the_cut(traffic):
    file, images = traffic
    whole, mine = keras_ssd.ssd7(weights=file, classes=TRAFFIC), cut(file, ["light", "car"])
    before, after = predictions(whole, images), predictions(mine, images)
    places = [0, 1 + TRAFFIC.index("light"), 1 + TRAFFIC.index("car")]  # the background comes first
    np.testing.assert_allclose(after.logits, before.logits[..., places], rtol=0, atol=1e-6)
    for name in ("offsets", "anchors_cxcywh", "variances"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=0, atol=1e-6)

    kept = Predictions(before.logits[..., places], before.offsets, before.anchors_cxcywh, before.variances)
    expected = decode_arrays(kept.join(), DecodeOptions(confidence_threshold=0.1))
    found = keras_ssd.with_decoder(mine, confidence_threshold=0.1).predict_on_batch(np.stack(images))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=0, atol=1e-6)
    assert (expected[..., 0] == 1).sum() >= 2  # cars


@pytest.mark.numerical
def test_values_all_classes_in_another_order_detect_the_same(traffic):
    file, images = traffic
    whole, mine = keras_ssd.ssd7(weights=file, classes=TRAFFIC), cut(file, TRAFFIC[::-1])
    for before, after in zip(whole.detect(images, confidence=0.1), mine.detect(images, confidence=0.1), strict=True):
        assert len(after) == len(before) >= 1
        assert [*after.names] == [*before.names]
        np.testing.assert_allclose(after.scores, before.scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(after.boxes_xyxy, before.boxes_xyxy, rtol=0, atol=1e-3)  # pixels of 480


def test_values_training_on_a_new_class_runs(traffic, tmp_path):
    file, images = traffic
    rng, signs = np.random.default_rng(0), []
    for place, image in enumerate(images * 2):  # a yellow sign, somewhere
        image = image.copy()
        x, y = rng.integers(0, 400), rng.integers(0, 220)
        image[y : y + 70, x : x + 70] = (250, 220, 0)
        signs.append(Annotation(f"street {place}", image, [[x, y, x + 70, y + 70]], [1], image.shape[:2]))
    data = Dataset("signs", ("car", "sign"), signs)
    model = cut(file, data.classes, freeze=("conv1", "conv2", "conv3"))
    assert model.weights_report.classes.initialised == ("sign",)
    before = {name: model.get_layer(name).get_weights() for name in ("conv1", "conv7", "classes4")}
    history = train(
        model, data, out=tmp_path / "run", epochs=3, batch_size=4, learning_rate=0.002, augment=None, display=False
    )
    losses = [row["loss"] for row in history.rows]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    after = {name: model.get_layer(name).get_weights() for name in before}
    np.testing.assert_array_equal(after["conv1"][0], before["conv1"][0])
    assert not np.array_equal(after["conv7"][0], before["conv7"][0])
    assert not np.array_equal(after["classes4"][0], before["classes4"][0])
    assert keras_ssd.load(tmp_path / "run" / "model.keras").class_names == ("car", "sign")
