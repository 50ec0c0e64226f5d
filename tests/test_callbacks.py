"""`Evaluate` in `fit`: what it logs, when, and who can use it."""

import keras
import numpy as np
import pytest
from training_toys import squares, toy

import keras_ssd
from keras_ssd.evaluation import evaluate


@pytest.fixture
def compiled():
    model = toy()
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=keras_ssd.SSDLoss(from_logits=True))
    return model


def fit(model, *callbacks, epochs=3):
    source = keras_ssd.data.batches(squares(8), model, None, 4)
    try:
        return model.fit(source, epochs=epochs, verbose=0, callbacks=[*callbacks]).history
    finally:
        source.close()


class Weights(keras.callbacks.Callback):
    """Notes the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.after = []

    def on_epoch_end(self, epoch, logs=None):
        self.after.append(self.model.get_weights())


@pytest.mark.numerical
def test_values_logs_are_those_of_evaluate(compiled, tmp_path):
    val, weights = squares(4, 1), Weights()
    measuring = keras_ssd.callbacks.Evaluate(val, "voc07", batch_size=4)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_mAP", save_best_only=True, mode="max")
    history = fit(compiled, measuring, best, weights, epochs=6)
    copy = toy()
    for epoch, values in enumerate(weights.after):
        copy.set_weights(values)
        result = evaluate(copy, val, "voc07", batch_size=4, progress=False)
        assert history["val_mAP"][epoch] == pytest.approx(result.map, abs=1e-9)
        assert history["val_AP bright"][epoch] == pytest.approx(result.per_class["bright"], abs=1e-9)
        assert history["val_AP dark"][epoch] == pytest.approx(result.per_class["dark"], abs=1e-9)
    assert measuring.result.measure == "voc07"
    assert measuring.result.map == history["val_mAP"][-1]
    kept = keras_ssd.load(tmp_path / "best.keras").get_weights()
    place = int(np.argmax(history["val_mAP"]))
    assert max(history["val_mAP"]) > 0
    for one, other in zip(kept, weights.after[place], strict=True):
        np.testing.assert_array_equal(one, other)


def test_values_every_other_epoch(compiled):
    measuring, epochs, rows = keras_ssd.callbacks.Evaluate(squares(2, 1), every=2), [], []
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (epochs.append(measuring.result), rows.append(dict(logs)))
    )
    fit(compiled, measuring, log, epochs=5)
    assert epochs[0] is None
    assert "val_mAP" not in rows[0]
    assert epochs[1] is epochs[2]
    assert epochs[3] is epochs[4] is not epochs[2]
    assert [row["val_mAP"] for row in rows[1:]] == [one.map for one in epochs[1:]]


def test_values_early_stopping_reads_it(compiled, monkeypatch):
    values = iter([0.5, 0.7, 0.6, 0.6, 0.9, 0.9])
    results = [evaluate(compiled, squares(2, 1), progress=False)]
    monkeypatch.setattr(type(results[0]), "map", property(lambda _: next(values)))
    stop = keras.callbacks.EarlyStopping("val_mAP", mode="max", patience=2)
    history = fit(compiled, keras_ssd.callbacks.Evaluate(squares(2, 1)), stop, epochs=6)
    assert history["val_mAP"] == [0.5, 0.7, 0.6, 0.6]


def test_values_of_another_model(compiled):
    other = toy(seed=5)
    expected = evaluate(other, squares(4, 1), "voc12", progress=False).map
    history = fit(compiled, keras_ssd.callbacks.Evaluate(squares(4, 1), model=other), epochs=2)
    assert history["val_mAP"] == [expected, expected]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (squares(2), {"measure": "map"}, "Unknown measure 'map'"),
        (squares(2, difficult=[True]), {}, "no objects to find"),
        (
            squares(2).with_classes(("cat", "dark"), {"bright": "cat"}),
            {},
            "has objects of cat, which the detector",
        ),
        (squares(2), {"iou_threshold": 2}, "iou_threshold"),
    ],
)
def test_rejects_when_fit_begins(compiled, data, options, message):
    before = compiled.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(compiled, keras_ssd.callbacks.Evaluate(data, **options))
    for one, other in zip(before, compiled.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("every", [0, True, 1.5])
def test_rejects_periods_that_are_none(every):
    with pytest.raises(ValueError, match="`every` must be a whole number of epochs from 1 on"):
        keras_ssd.callbacks.Evaluate(squares(1), every=every)
