"""The examples that train, on a few drawn images."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from example_scripts import run, script
from PIL import Image

import keras_ssd
from keras_ssd.demonstration import draw_smear


@pytest.fixture
def blood(tmp_path, monkeypatch):
    """Four drawn smears with their boxes as CSV, and small untrained weights of two of their three classes."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,xmin,ymin,xmax,ymax,class"]
    for seed in range(4):
        smear = draw_smear(seed, red_cells=5)
        Image.fromarray(smear.image).save(f"{seed}.png")
        rows += [f"{seed}.png,{','.join(f'{side:.0f}' for side in box)},{name}" for name, _, box, _ in smear.truth]
    Path("boxes.csv").write_text("\n".join(rows))
    keras.utils.set_random_seed(0)
    keras_ssd.ssd_small(classes=["WBC", "RBC"], input_size=(96, 128)).save("other.keras")
    return Path("boxes.csv")


@pytest.mark.slow
def test_values_train_your_own(blood, capsys):
    command = ("train_your_own", blood, "--out", "mine", "--batch-size", 1, "--epochs", 1)
    assert run(*command) == 0
    said = capsys.readouterr().out
    assert "3 images, 27 objects" in said
    assert "best epoch 1: mean AP 0." in said
    model = keras_ssd.load("mine/model.keras")
    assert set(model.class_names) == {"RBC", "WBC", "Platelets"}
    with pytest.raises(ValueError, match="holds a training already"):
        run(*command)


@pytest.mark.numerical
@pytest.mark.slow
def test_values_freeze_then_thaw(blood, capsys):
    out = ("--frozen-epochs", 1, "--epochs", 1, "--batch-size", 4, "--out", "mine.keras")
    frozen = script("freeze_then_thaw")
    seen = []
    frozen.fit = lambda model, *rest, fit=frozen.fit: (fit(model, *rest), seen.append(weights_by_layer(model)))
    assert frozen.main([str(part) for part in (blood, "--weights", "other.keras", *out)]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 keep their trained rows" in said
    before, (heads_trained, all_trained) = weights_by_layer(keras_ssd.load("other.keras")), seen
    same = {name for name in before if np.array_equal(before[name], heads_trained[name])}
    assert {name for name in before if "mbox" not in name} == same
    assert not [name for name in before if np.array_equal(heads_trained[name], all_trained[name])]
    first, then = (int(count.replace(",", "")) for count in re.findall(r"([\d,]+) of [\d,]+ values", said))
    assert 0 < first < then


def weights_by_layer(model):
    """{layer name: its weights in a row}."""
    found = {layer.name: [np.ravel(value) for value in layer.get_weights()] for layer in model.layers}
    return {name: np.concatenate(values) for name, values in found.items() if values}


@pytest.mark.numerical
def test_reference_custom_loss_without_gain_is_ssds():
    loss = script("custom_loss").SmallObjectsLoss
    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd_small(classes=["a", "b"], input_size=(64, 64))
    encoder, rng = keras_ssd.TargetEncoder.from_model(model), np.random.default_rng(0)
    boxes = [np.array([[0.1, 0.1, 0.6, 0.5], [0.5, 0.6, 0.9, 0.9]]), np.zeros((0, 4)), np.array([[0.2, 0.3, 0.5, 0.9]])]
    y_true = encoder.encode_batch(boxes, [np.array([0, 1]), np.zeros(0, int), np.array([1])])
    y_pred = model(rng.uniform(0, 255, (3, 64, 64, 3)).astype(np.float32))

    def value(each, targets=y_true):
        return float(keras.ops.convert_to_numpy(each(targets, y_pred)))

    wanted, found, more = map(value, (keras_ssd.SSDLoss(), loss(0.0), loss(1.0)))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert more > found * 1.01
    again = loss.from_config(loss(3.0).get_config())
    assert again.gain == 3
    empty = encoder.encode_batch([np.zeros((0, 4))] * 3, [np.zeros(0, int)] * 3)
    assert value(loss(), empty) == 0


@pytest.mark.slow
def test_values_custom_loss_trains(blood, capsys):
    assert run("custom_loss", blood, "--epochs", 2, "--batch-size", 2, "--out", "small.keras") == 0
    assert "Saved small.keras" in capsys.readouterr().out
    assert set(keras_ssd.load("small.keras").class_names) == {"RBC", "WBC", "Platelets"}


@pytest.mark.slow
def test_values_fitted_anchors(blood, capsys):
    size = ("--input-size", 96, 128, "--width", 0.35, "--boxes-per-cell", 3)
    assert run("fitted_anchors", blood, *size, "--out", "lite", "--epochs", 1, "--batch-size", 1) == 0
    said = capsys.readouterr().out
    assert "27 objects in 3 images, warped to 128 x 96" in said
    assert "Anchors fitted to 27 objects" in said
    shares = [float(share) for share in re.findall(r"recall at IoU 0.5: ([\d.]+)%", said)]
    matched = [float(share) for share in re.findall(r"^(?:before|search) .* ([\d.]+)%", said, re.MULTILINE)]
    assert shares == pytest.approx(matched[:1], abs=0.05)  # printed with fewer places
    assert matched[1] > matched[0] + 5
    model = keras_ssd.load("lite/model.keras")
    assert set(model.anchor_spec.boxes_per_cell) == {3}
    for name in ("anchors_before.png", "anchors_fitted.png"):
        with Image.open(Path("lite") / name) as image:
            assert image.size[0] == 1180
