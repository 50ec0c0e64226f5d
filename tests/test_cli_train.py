"""`keras-ssd train`, as a user types it."""

import json
import shlex
import signal

import keras
import numpy as np
import pytest
from training_toys import CLASSES, furnished, squares

import keras_ssd
from keras_ssd.cli.main import main

FILES = {"checkpoint.h5", "curves.png", "last.keras", "log.csv", "model.keras", "predictions.png", "run.json"}
SHORT = ["--out", "run", "--weights", "toy.keras", "--epochs", "2", "--batch-size", "4"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return furnished(tmp_path)


def test_values_from_a_folder_of_pictures_to_a_detector(folder, capsys):
    # From nothing and in bfloat16; the input is as small as ssd_small takes.
    options = ["--input-size", "32x48", "--anchors", "cells", "--epochs", "2", "--precision", "mixed_bfloat16"]
    assert main(["train", "data", "--out", "run", *options, "--export-float16", "small.h5"]) == 0
    printed = capsys.readouterr()
    assert "data/train (VOC): 8 pictures" in printed.out
    assert "validation: data/val (VOC): 4 pictures" in printed.out
    assert "epochs 2, batch size 8, recipe small-data, rate 0.002, augment light" in printed.out
    assert "best on the validation set: mAP" in printed.out
    assert "keras-ssd detect PICTURE --weights run/model.keras" in printed.out
    assert "epoch 2/2: loss" in printed.err
    assert {path.name for path in (folder / "run").iterdir()} - {"tensorboard"} == FILES
    model = keras_ssd.load("run/model.keras")
    assert (model.name, model.class_names, model.input_size) == ("ssd_small", CLASSES, (32, 48))
    assert (folder / "small.h5").stat().st_size < 3.3e6
    again = keras_ssd.ssd_small(weights="small.h5", classes=CLASSES, anchors="cells", input_size=(32, 48))
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    facts = json.loads((folder / "run" / "run.json").read_text())
    assert facts["train"] == {"name": "data/train", "pictures": 8, "objects": {"bright": 4, "dark": 4}}
    assert facts["versions"]["keras"] == keras.__version__


def test_values_the_recorded_command_gives_the_same_model_again(folder, capsys):
    assert main(["train", "data", *SHORT, "--freeze", "low,low_bn", "--validation", "0.25", "--seed", "3"]) == 0
    assert "rate 0.0002" in capsys.readouterr().out  # a tenth of the recipe's: the weights are trained ones
    [command] = json.loads((folder / "run" / "run.json").read_text())["commands"]
    words = shlex.split(command)
    assert words[:3] == ["keras-ssd", "train", "data"]
    words[words.index("--out") + 1] = "again"
    assert main(words[1:]) == 0
    first, second, start = (keras_ssd.load(f"{name}.keras") for name in ("run/last", "again/last", "toy"))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    low, before = (model.get_layer("low").get_weights()[0] for model in (first, start))
    np.testing.assert_array_equal(low, before)
    assert json.loads((folder / "run" / "run.json").read_text())["validation"]["pictures"] == 2


def test_values_ctrl_c_and_resume(folder, monkeypatch, capsys):
    from keras_ssd.training import keeper

    write = keeper.Keeper._write_log
    monkeypatch.setattr(keeper.Keeper, "_write_log", lambda self: (write(self), signal.raise_signal(signal.SIGINT)))
    assert main(["train", "data", *SHORT]) == 130
    printed = capsys.readouterr().out
    assert "1 of 2 epochs are done; the same command with --resume goes on." in printed
    assert keras_ssd.load("run/model.keras").name == "toy"
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main(["train", "data", *SHORT]) == 2
    assert "run holds a training already" in capsys.readouterr().err
    assert main(["train", "data", *SHORT, "--resume"]) == 0
    commands = json.loads((folder / "run" / "run.json").read_text())["commands"]
    assert [command.endswith("--resume") for command in commands] == [False, True]
    assert main(["train", "data", *SHORT, "--resume", "--rate", "0.1"]) == 2
    assert "rate was 0.0002, now 0.1" in capsys.readouterr().err


def test_values_both_splits_and_other_classes(folder, capsys):
    keras_ssd.data.write(squares(4, 5, "more"), folder / "more", "coco")
    options = ["--split", "train,val", "--validation", "more", "--classes", "dark", "--stop-after", "1"]
    assert main(["train", "data", *SHORT, *options]) == 0
    printed = capsys.readouterr().out
    assert "data/train+data/val (VOC): 12 pictures, 6 objects, 1 class" in printed
    assert "validation: more (COCO): 4 pictures, 2 objects" in printed
    model = keras_ssd.load("run/model.keras")
    assert model.class_names == ("dark",)
    assert model.anchor_spec == keras_ssd.load("toy.keras").anchor_spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere", "--out", "run"], "no file or folder nowhere"),
        (["data", "--out", "run", "--split", "trian"], "train"),
        (["data", "--out", "run", "--validation", "vla"], "--validation-set must be a split, a share below 1"),
        (["data", "--out", "run", "--model", "ssd3000"], "Did you mean 'ssd300'"),
        (["data", "--out", "run", "--weights", "gone.h5"], "gone.h5"),
        (["data", "--out", "run", "--weights", "toy.keras", "--anchors", "voc"], "--anchors is part of a .keras model"),
        (["data", "--out", "run", "--weights", "toy.keras", "--freeze", "lwo*"], "lwo*"),
        (["data", "--out", "run", "--recipe", "cafe"], "Did you mean 'caffe'"),
        (["data", "--out", "run", "--weights", "toy.keras", "--augment", "lite"], "'light'"),
        (["data", "--out", "run", "--classes", "birght"], "birght"),
        (["data", "--out", "run", "--export-float16", "small.npz"], "--export-float16 writes an .h5"),
        (["data", "--out", "run", "--weights", "toy.keras", "--batch-size", "9"], "8 pictures make no full batch of 9"),
        (["data", "--out", "toy.keras/run", "--weights", "toy.keras"], "toy.keras"),
        (["data", "--out", "run", "--weights", "toy.keras", "--resume"], "to go on from"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)
def test_rejects_before_anything_is_written(folder, capsys, options, message):
    before = {path.name for path in folder.iterdir()}
    assert main(["train", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("keras-ssd train: ")
    assert message in error
    assert "unexpectedly" not in error
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("option", [["--rate", "0"], ["--rate", "fast"], ["--epochs", "0"], ["--input-size", "9"]])
def test_rejects_numbers_out_of_range(capsys, option):
    with pytest.raises(SystemExit) as caught:
        main(["train", "data", "--out", "run", *option])
    assert caught.value.code == 2
    assert f"argument {option[0]}" in capsys.readouterr().err
