"""The examples that compose: a ResNet50 SSD, and another backbone under a trained detector."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from example_scripts import run, script
from model_outputs import values
from PIL import Image

import keras_ssd
from keras_ssd.box_coder import Predictions
from keras_ssd.demonstration import draw_smear


@pytest.fixture
def blood(tmp_path, monkeypatch):
    """Three drawn smears with their boxes as CSV, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,xmin,ymin,xmax,ymax,class"]
    for seed in range(3):
        smear = draw_smear(seed, red_cells=4)
        Image.fromarray(smear.image).save(f"{seed}.png")
        rows += [f"{seed}.png,{','.join(f'{side:.0f}' for side in box)},{name}" for name, _, box, _ in smear.truth]
    Path("boxes.csv").write_text("\n".join(rows))
    return Path("boxes.csv")


@pytest.mark.slow
def test_values_resnet50_ssd(tmp_path, capsys):
    assert run("resnet50_ssd", "--classes", "cat,dog,bird", "--out", tmp_path / "net.keras") == 0
    said = capsys.readouterr().out
    assert "conv3_block4_out  38x38  512       8       99x99" in said
    assert "8,732 anchors; layers that prepare the images: preprocessing, rgb_to_bgr, conv1_pad" in said
    assert keras_ssd.load(tmp_path / "net.keras").class_names == ("cat", "dog", "bird")


@pytest.mark.slow
def test_values_resnet50_ssd_trains(blood, capsys):
    size = ("--input-size", 64, 96, "--head", "separable", "--fpn")
    assert run("resnet50_ssd", "--data", blood, *size, "--epochs", 1, "--batch-size", 2, "--out", "net.keras") == 0
    net = keras_ssd.load("net.keras")
    assert set(net.class_names) == {"RBC", "WBC", "Platelets"}
    assert net.sources[0] == "conv3_block4_out_fpn"


@pytest.mark.slow
def test_values_swap_backbone(blood, capsys):
    """Everything behind the tapped maps stays bit for bit, and the new maps come nearer to the old ones."""
    keras.utils.set_random_seed(0)
    old = keras_ssd.ssd("mobilenet", classes=["cat", "dog"], input_size=(96, 128), width=0.25, head="separable")
    old.save("old.keras")
    swapping = script("swap_backbone")
    name = "mobilenet_v2"
    losses = []
    swapping.imitate = lambda *args, imitate=swapping.imitate: losses.extend(imitate(*args)) or losses
    more = ["--backbone", name, "--width", "0.35", "--epochs", "4", "--out", "new.keras"]
    assert swapping.main(["old.keras", "0.png", "1.png", "2.png", *more]) == 0
    said = capsys.readouterr().out
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert re.search(r"Loaded \d+ layers with [\d,]+ values from", said)
    new = keras_ssd.load("new.keras")
    assert (new.class_names, new.anchor_spec, new.sources) == (old.class_names, old.anchor_spec, old.sources)
    assert any(layer.name == "block_13_expand_relu" for layer in new.layers)
    assert not any(layer.name == "conv_pw_11_conv" for layer in new.layers)
    behind = [layer for layer in old.layers if "_mbox_" in layer.name or layer.name.startswith("extra")]
    assert len([layer for layer in behind if layer.weights]) > 8
    for layer in behind:
        for mine, theirs in zip(new.get_layer(layer.name).weights, layer.weights, strict=True):
            np.testing.assert_array_equal(values(mine), values(theirs), err_msg=layer.name)
    x = np.zeros((1, 96, 128, 3), np.float32)
    assert Predictions.split(values(new(x))).logits.shape == Predictions.split(values(old(x))).logits.shape


def test_rejects_swapping_what_does_not_fit(monkeypatch):
    swapping = script("swap_backbone")
    silent = keras_ssd.ssd7(classes=["cat"], input_size=(64, 64))
    monkeypatch.setattr(keras_ssd.SSD, "sources", ())
    with pytest.raises(ValueError, match="does not tell what its heads read"):
        swapping.swap(silent, "mobilenet")
    monkeypatch.undo()
    old = keras_ssd.ssd("mobilenet", classes=["cat"], input_size=(100, 100), width=0.25)  # pads to 100 / 16 = 6 cells
    with pytest.raises(ValueError, match=r"mobilenet_v2 has no map of \(6, 6\) cells. It has: .*7x7"):
        swapping.swap(old, "mobilenet_v2", 0.35)
