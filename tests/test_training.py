"""The trainer: what it keeps, how it goes on, and how it stops."""

import csv
import json
import signal

import h5py
import keras
import numpy as np
import pytest
from PIL import Image
from training_toys import CLASSES, run, squares, toy

import keras_ssd
from keras_ssd.training import AveragingAdamW, training_callback
from keras_ssd.training.settings import Settings
from keras_ssd.training.training_copy import training_copy_of

FILES = {"checkpoint.h5", "curves.png", "last.keras", "log.csv", "model.keras", "predictions.png"}


def same_weights(one, other):
    pairs = zip(keras_ssd.load(one).get_weights(), keras_ssd.load(other).get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def state(out):
    """Every array of a checkpoint, and its facts without the clock."""
    found = {}
    with h5py.File(out / "checkpoint.h5") as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    facts = json.loads(found.pop("facts").tobytes())
    return found, [{k: v for k, v in row.items() if k != "seconds"} for row in facts["rows"]]


def assert_same_training(one, other):
    (arrays, rows), (others, other_rows) = state(one), state(other)
    assert rows == other_rows
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert same_weights(one / "last.keras", other / "last.keras")
    assert same_weights(one / "model.keras", other / "model.keras")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training that nothing stopped."""
    return run(tmp_path_factory.mktemp("whole")).out


class At(keras.callbacks.Callback):
    """Does something at the end of a step."""

    def __init__(self, epoch, step, action):
        super().__init__()
        self.place, self.action, self.epoch = (epoch, step), action, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            self.action()


@pytest.mark.numerical
def test_values_two_and_two_epochs_are_four_to_the_bit(tmp_path):
    whole = run(tmp_path / "whole", validation=squares(4, 1))
    first = run(tmp_path / "parts", validation=squares(4, 1), stop_after=2)
    assert (first.interrupted, len(first.rows)) == (True, 2)
    # Another model than the one that was begun with: all that matters is in the checkpoint.
    second = run(tmp_path / "parts", model=toy(seed=9), validation=squares(4, 1), stop_after=None, resume=True)
    assert (second.interrupted, len(second.rows), whole.interrupted) == (False, 4, False)
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    nothing_left = run(tmp_path / "parts", validation=squares(4, 1), resume=True)
    assert len(nothing_left.rows) == 4


def test_values_a_killed_training_loses_its_last_epoch_alone(tmp_path, whole):
    def die():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path, callbacks=[At(2, 1, die)])
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.h5", "log.csv", "model.keras"}
    assert len(run(tmp_path, resume=True).rows) == 4
    assert_same_training(whole, tmp_path)


@pytest.mark.parametrize("step", [0, 1], ids=["in an epoch", "at its end"])
def test_values_ctrl_c_leaves_a_usable_model_and_can_go_on(tmp_path, whole, step, capsys):
    before = signal.getsignal(signal.SIGINT)
    history = run(tmp_path, callbacks=[At(1, step, lambda: signal.raise_signal(signal.SIGINT))])
    assert signal.getsignal(signal.SIGINT) is before
    assert "Stopping after this step" in capsys.readouterr().err
    assert history.interrupted
    assert len(history.rows) == 1 + step
    kept = keras_ssd.load(tmp_path / "model.keras")
    assert len(list(kept.detect([squares(1)[0].image]))) == 1
    if step == 0:
        assert not same_weights(tmp_path / "last.keras", tmp_path / "model.keras")
    run(tmp_path, resume=True)
    assert_same_training(whole, tmp_path)


def test_values_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[At(1, 0, twice)])
    assert (tmp_path / "checkpoint.h5").is_file()


def test_values_files_and_history(tmp_path):
    model = toy()
    history = run(tmp_path / "new" / "run", model=model, validation=squares(4, 1))
    out = history.out
    assert {path.name for path in out.iterdir()} == FILES
    with open(out / "log.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    wanted = {"loss", "localization_loss", "confidence_loss", "learning_rate", "val_mAP", "val_AP bright", "seconds"}
    assert wanted < set(rows[0])
    assert float(rows[1]["loss"]) == pytest.approx(history.rows[1]["loss"])
    assert 0 < float(rows[3]["learning_rate"]) < 0.1 * float(rows[1]["learning_rate"])
    with Image.open(out / "curves.png") as curves, Image.open(out / "predictions.png") as sheet:
        assert curves.size == (720, 720)
        assert sheet.size[0] == 1648
        assert sheet.size[0] > 1.3 * sheet.size[1]
    for one, other in zip(model.get_weights(), keras_ssd.load(out / "model.keras").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert keras_ssd.load(out / "model.keras").class_names == CLASSES


def test_values_the_best_is_kept_by_validation(tmp_path, monkeypatch):
    values, weights = iter([0.2, 0.9, 0.8951, 0.8949]), []
    monkeypatch.setattr(
        training_callback.Evaluate, "on_epoch_end", lambda _, epoch, logs: logs.update(val_mAP=next(values))
    )
    model = toy()
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: weights.append(model.get_weights()))
    history = run(tmp_path, model=model, validation=squares(2, 1), callbacks=[keep])
    assert history.best["epoch"] == 3  # the latest of those within 0.005 of the best
    best, last = (keras_ssd.load(tmp_path / name).get_weights() for name in ("model.keras", "last.keras"))
    for kept, array in ((best, weights[2]), (last, weights[3]), (model.get_weights(), weights[2])):
        assert all(np.array_equal(a, b) for a, b in zip(kept, array, strict=True))


@pytest.mark.numerical
def test_values_average_reaches_over_a_fifth_of_the_steps():
    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer = AveragingAdamW(0.1, ema_momentum=0.8, weight_decay=0.0)
    optimizer.build([variable])
    expected = None
    for step in range(40):
        optimizer.apply([keras.ops.convert_to_tensor(np.array([1.0, -1, 0.1], "float32"))])
        now = keras.ops.convert_to_numpy(variable)
        momentum = min(step / (step + 5), 0.8)
        expected = now if step == 0 else momentum * expected + (1 - momentum) * now
        average = keras.ops.convert_to_numpy(optimizer._model_variables_moving_average[0])
        np.testing.assert_allclose(average, expected, rtol=1e-5)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, AveragingAdamW)
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()["ema_momentum"] == 0.8


@pytest.mark.numerical
def test_values_saved_weights_are_the_averages_of_what_was_trained(tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.steps = getattr(self, "steps", 0) + 1
            weights = {v.path: keras.ops.convert_to_numpy(v) for v in self.model.weights}
            share = (self.steps - 1) / (self.steps + 4)
            trained = {v.path for v in self.model.trainable_variables}
            last = seen[-1] if seen else weights
            seen.append({p: share * last[p] + (1 - share) * w if p in trained else w for p, w in weights.items()})

    run(tmp_path, callbacks=[Watch()])
    for variable in keras_ssd.load(tmp_path / "model.keras").weights:
        value = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(value, seen[-1][variable.path], rtol=1e-4, atol=1e-6, err_msg=variable.path)


def test_values_frozen_layers_stay_and_precision_is_not_saved(tmp_path):
    model = toy()
    model.get_layer("low").trainable = model.get_layer("low_bn").trainable = False
    before = {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}
    policies = []
    watch = keras.callbacks.Callback()
    watch.on_train_begin = lambda logs=None: policies.append(watch.model.get_layer("high").dtype_policy.name)
    history = run(tmp_path, model=model, precision="mixed_bfloat16", callbacks=[watch])
    assert policies == ["mixed_bfloat16"]
    loaded = keras_ssd.load(tmp_path / "model.keras")
    assert {layer.dtype_policy.name for layer in loaded.layers} == {"float32"}
    changed = {v.path for v in loaded.weights if not np.array_equal(keras.ops.convert_to_numpy(v), before[v.path])}
    assert {path.split("/")[0] for path in changed} == {"high", "high_mbox_conf", "high_mbox_loc"}
    assert np.isfinite([row["loss"] for row in history.rows]).all()
    assert not model.get_layer("low").trainable


def test_values_a_training_copy_computes_the_same():
    model = toy()
    twin = training_copy_of(model)
    x = np.stack([keras_ssd.images.resize_bilinear(a.image, (16, 24)) for a in squares(2)]).astype("float32")
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(m(x)) for m in (model, twin)))
    assert not {id(v) for v in model.weights} & {id(v) for v in twin.weights}


@pytest.mark.parametrize(
    ("recipe", "decoding", "expected"),
    [
        ("caffe", {}, {"n_neg_min": 0, "negative_images": None, "activation": "softmax", "from_logits": True}),
        ("modern", {}, {"n_neg_min": 10, "negative_images": "mine"}),
        (
            "caffe",
            {"scores": "sigmoid", "code_type": "corner"},
            {"activation": "sigmoid", "code_type": "corner", "score_background": True},
        ),
        ("small-data", {"scores": "sigmoid"}, {"activation": "sigmoid", "score_background": False}),
        ("caffe", {"scores": "probabilities", "iou_threshold": 0.3}, {"from_logits": False}),
    ],
    ids=["caffe", "modern", "sigmoid", "no background", "probabilities"],
)
def test_values_losses_follow_recipe_and_model(recipe, decoding, expected):
    loss = Settings(1, 1, recipe).loss(decoding)
    facts = {**vars(loss.negatives), **vars(loss.confidence), **vars(loss.coder)}
    assert {name: facts[name] for name in expected} == expected
