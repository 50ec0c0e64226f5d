"""SSDLoss inside `fit`: what it reports, that it learns, and several replicas; on every backend."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd.box_coder import Predictions, Targets

pytestmark = pytest.mark.numerical

RESULTS = {"loss", "confidence_loss", "localization_loss", "positives"}


def small_model():
    """An SSD of 16 anchors on images of 16x16."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="low")(inputs)
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="high")(x)
    level = keras_ssd.AnchorLevel.prior_box((16, 16), (4, 4), (6,))
    spec = keras_ssd.AnchorSpec((16, 16), (level,))
    return keras_ssd.ssd(keras.Model(inputs, x), ["high"], ["cell", "dot"], spec)


def batch_for(model, images=6, seed=0):
    """Random images, and targets that the model can learn by heart; the last image has no object."""
    rng = np.random.default_rng(seed)
    anchors = model.anchor_spec.num_anchors
    class_ids, offsets = np.zeros((images, anchors)), np.zeros((images, anchors, 4))
    for image in range(images - 1):
        chosen = rng.choice(anchors, 2, replace=False)
        class_ids[image, chosen] = rng.integers(1, 3, 2)
        offsets[image, chosen] = rng.normal(0, 0.5, (2, 4))
    x = rng.uniform(-1, 1, (images, 16, 16, 3))
    return x.astype(np.float32), Targets(class_ids, offsets).join().astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [{}, {"localization": "ciou", "confidence": "sigmoid", "focal_gamma": 2, "mining": None}],
    ids=["caffe", "modern"],
)
def test_values_fit_shows_the_parts_and_learns(options):
    keras.utils.set_random_seed(0)
    model, loss = small_model(), keras_ssd.SSDLoss(**options)
    x, y = batch_for(model)
    model.compile(keras.optimizers.Adam(0.01), loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
    history = model.fit(x, y, batch_size=4, epochs=40, validation_data=(x, y), shuffle=False, verbose=0).history
    assert set(history) == RESULTS | {f"val_{name}" for name in RESULTS}
    together = np.add(history["confidence_loss"], history["localization_loss"])
    np.testing.assert_allclose(history["loss"], together, rtol=1e-5)
    assert history["positives"][0] == pytest.approx(10 / 6)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)["loss"] == pytest.approx(
        history["val_loss"][-1], rel=1e-5
    )


def test_values_metric_by_hand():
    boxes = np.broadcast_to(np.float32([0.5, 0.5, 0.2, 0.4]), (2, 4, 4))
    variances = np.broadcast_to(np.float32([0.1, 0.1, 0.2, 0.2]), (2, 4, 4))
    class_ids = np.float32([[1, 2, 2, 0], [0, 0, -1, 0]])
    best = np.array([[1, 2, 1, 1], [0, 1, 2, 0]])  # right, right, wrong class; the rest is no object
    logits = np.eye(3, dtype=np.float32)[best]
    offsets = np.zeros((2, 4, 4), np.float32)
    offsets[0, 1] = (5, 0, 0, 0)  # half a width beside the object
    metric = keras_ssd.SSDLossMetric()
    for _ in range(2):  # sums over batches
        metric.update_state(
            Targets(class_ids, np.zeros_like(offsets)).join(), Predictions(logits, offsets, boxes, variances).join()
        )
    result = {key: float(value) for key, value in metric.result().items()}
    assert result["positives"] == 1.5
    assert result["localization_loss"] == pytest.approx(4.5 / 3)
    metric.reset_state()
    assert {float(value) for value in metric.result().values()} == {0.0}


def test_roundtrip_compiled_model(tmp_path):
    model, loss = small_model(), keras_ssd.SSDLoss(alpha=2, n_neg_min=3, class_weights=[1, 3])
    x, y = batch_for(model)
    model.compile("sgd", loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == loss.get_config()
    assert again.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)


MODES = {"tensorflow": "strategy", "jax": "distribution", "torch": "processes"}


def run_replicas(mode, folder):
    """{source: what a training in a process of its own gave}."""
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("replicas.py")), mode, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(keras_ssd.__file__).parents[1],
        env={
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "PYTHONPATH": str(Path(keras_ssd.__file__).parents[1]),
            "CUDA_VISIBLE_DEVICES": "",
            "JAX_PLATFORMS": "cpu",
        },
    )
    assert result.returncode == 0, result.stderr
    found = {}
    for source in ("arrays", "batches"):
        with np.load(folder / f"{source}.npz") as arrays:
            found[source] = dict(arrays)
    return found


@pytest.mark.slow
def test_values_two_replicas_train_as_one_device_does(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = run_replicas("one", tmp_path / "one")
    two = run_replicas(MODES[keras.backend.backend()], tmp_path / "two")
    for source, arrays in two.items():
        for name, value in arrays.items():
            np.testing.assert_allclose(value, one[source][name], rtol=1e-5, atol=1e-6, err_msg=f"{source}: {name}")
