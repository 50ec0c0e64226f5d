"""What the trainer refuses, and what it leaves behind when it does."""

import math

import keras
import numpy as np
import pytest
from training_toys import CLASSES, run, squares, toy

import keras_ssd
from keras_ssd.data import Dataset
from keras_ssd.data.batches import batch_names, batches
from keras_ssd.training import DivergedError
from keras_ssd.training.checkpoint import save


def test_rejects_a_loss_that_diverges_with_the_images_names(tmp_path):
    data = squares(12)
    with pytest.raises(DivergedError, match="In epoch 1, step 2, the loss became") as caught:
        run(tmp_path, data=data, recipe=lambda steps: keras.optimizers.SGD(1e30), learning_rate=None, augment="light")
    source = batches(data, toy(), "light", batch_size=4)
    assert caught.value.images == batch_names(source, 0, 1)
    assert ", ".join(caught.value.images) in str(caught.value)
    assert "No epoch was complete before" in str(caught.value)
    assert not (tmp_path / "checkpoint.h5").exists()


def test_rejects_weights_that_are_not_finite_at_the_end_of_an_epoch(tmp_path):
    run(tmp_path, data=squares(4), stop_after=1)
    before = (tmp_path / "checkpoint.h5").read_bytes()
    with pytest.raises(DivergedError, match="In epoch 2, step 1, the weights became infinite or NaN"):
        run(tmp_path, data=squares(4), resume=True, callbacks=[Poison()])
    assert (tmp_path / "checkpoint.h5").read_bytes() == before


class Poison(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        variable = self.model.get_layer("high").bias
        variable.assign(np.full(variable.shape, math.nan))


def test_rejects_what_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(FileNotFoundError, match="to go on from"):
        run(tmp_path / "none", resume=True)
    run(tmp_path, stop_after=1)
    with pytest.raises(ValueError, match="holds a training already"):
        run(tmp_path)
    others = (
        ({"seed": 1}, "seed was 0, now 1"),
        ({"epochs": 6}, "epochs was 4, now 6"),
        ({"data": squares(8, seed=5)}, "training set was 8 images"),
        ({"loss": keras_ssd.SSDLoss(alpha=2)}, "loss was"),
        ({"validation": squares(2)}, "validation set was none, now 2 images"),
    )
    for options, message in others:
        with pytest.raises(ValueError, match=message):
            run(tmp_path, resume=True, **options)
    (tmp_path / "checkpoint.h5").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        run(tmp_path, resume=True)


def test_rejects_bad_settings(tmp_path):
    wrong = (
        ({"epochs": 0}, "`epochs` must be a whole number"),
        ({"batch_size": 2.5}, "`batch_size` must be a whole number"),
        ({"learning_rate": -1}, "`learning_rate` must be positive"),
        ({"precision": "float16"}, "`precision` must be one of"),
        ({"recipe": "cafe"}, "Did you mean 'caffe'"),
        ({"recipe": keras.optimizers.SGD}, "`learning_rate` is for a recipe by name"),
        ({"validation": Dataset("none", CLASSES, [])}, "has no objects to find"),
        ({"validation": squares(2, difficult=[True])}, "has no objects to find"),
        ({"validation": Dataset("cats", ("cat",), [])}, "has the classes cat, the model bright, dark"),
        ({"batch_size": 9}, "8 images make no full batch of 9"),
    )
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_rejects_a_full_disk_and_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    model = toy()
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    path = tmp_path / "checkpoint.h5"
    save(path, model, {"rows": []})
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, model, {"rows": [1]})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.h5"]
