"""`keras-ssd train`, as a user types it."""

import json
import shlex
import signal

import keras
import numpy as np
import pytest
from training_toys import CLASSES, squares

import keras_ssd
from keras_ssd.cli.main import main

FILES = {"checkpoint.h5", "curves.png", "last.keras", "log.csv", "model.keras", "predictions.png", "run.json"}
SHORT = ["--out", "run", "--weights", "toy.keras", "--epochs", "2", "--batch-size", "4"]


@pytest.fixture
def folder(training_folder):
    return training_folder


def test_values_from_a_folder_of_images_to_a_detector(folder, capsys):
    # In bfloat16; the input is as small as ssd_small takes.
    options = ["--input-size", "32x48", "--anchors", "cells", "--epochs", "2", "--precision", "mixed_bfloat16"]
    assert main(["train", "data", "--out", "run", *options, "--export-float16", "small.h5"]) == 0
    printed = capsys.readouterr()
    assert "data/train (VOC): 8 images" in printed.out
    for line in (
        "model              ssd_small, 1,477,707 parameters",
        "input              32 x 48 pixels (height x width)",
        "anchors            112, cells",
        "starting weights   small_body.distilled: the backbone, which ships with this package",
        "--weights ssd_mobilenet_v1.coco",
        "images             8 to train on, 8 objects: bright 4, dark 4",
        "validation         4 images, 4 objects, the split val",
        "epochs             2 of 1 steps of 8 images, fewer if 10 in a row stay 0.005 below the best AP",
        "schedule           small-data: highest rate 0.002",
        "augmentation       light, seed 0, mixed_bfloat16",
        "expected end       in ",
        "best on the validation set: 0.",
        "AP at IoU 0.5, area under the curve (voc12), after epoch",
        "last epoch, 2: 0.",
        "keras-ssd detect IMAGE --weights run/model.keras",
    ):
        assert line in printed.out
    assert "epoch 2/2: loss" in printed.err
    assert {path.name for path in (folder / "run").iterdir()} == FILES
    model = keras_ssd.load("run/model.keras")
    assert (model.name, model.class_names, model.input_size) == ("ssd_small", CLASSES, (32, 48))
    assert (folder / "small.h5").stat().st_size < 3.3e6
    again = keras_ssd.ssd_small(weights="small.h5", classes=CLASSES, anchors="cells", input_size=(32, 48))
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    facts = json.loads((folder / "run" / "run.json").read_text())
    objects = {"bright": 4, "dark": 4}
    assert facts["train"] == {"name": "data/train", "images": 8, "objects": objects, "left_out": []}
    assert facts["versions"]["keras"] == keras.__version__


def test_values_the_recorded_command_gives_the_same_model_again(folder, capsys):
    assert main(["train", "data", *SHORT, "--freeze", "low,low_bn", "--validation", "0.25", "--seed", "3"]) == 0
    assert "highest rate 0.0002" in capsys.readouterr().out  # a tenth of the recipe's: the weights are trained ones
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
    assert json.loads((folder / "run" / "run.json").read_text())["validation"]["images"] == 2


def test_values_ctrl_c_and_resume(folder, monkeypatch, capsys):
    from keras_ssd.training import training_callback

    write = training_callback.TrainingCallback._write_log
    monkeypatch.setattr(
        training_callback.TrainingCallback, "_write_log", lambda self: (write(self), signal.raise_signal(signal.SIGINT))
    )
    assert main(["train", "data", *SHORT]) == 130
    printed = capsys.readouterr().out
    assert "1 epochs are done; the same command with --resume goes on." in printed
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
    assert "data/train+data/val (VOC): 12 images, 6 objects, 1 class" in printed
    assert "validation         4 images, 2 objects, the images of more" in printed
    model = keras_ssd.load("run/model.keras")
    assert model.class_names == ("dark",)
    assert model.anchor_spec == keras_ssd.load("toy.keras").anchor_spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere", "--out", "run"], "no file or folder nowhere"),
        (["data", "--out", "run", "--split", "trian"], "train"),
        (["data", "--out", "run", "--validation", "vla"], "Unknown validation set 'vla'. Did you mean 'val'"),
        (["data", "--out", "run", "--model", "ssd3000"], "Did you mean 'ssd300'"),
        (["data", "--out", "run", "--weights", "gone.h5"], "gone.h5"),
        (["data", "--out", "run", "--weights", "toy.keras", "--anchors", "voc"], "--anchors is part of a .keras model"),
        (["data", "--out", "run", "--weights", "toy.keras", "--freeze", "lwo*"], "lwo*"),
        (["data", "--out", "run", "--recipe", "cafe"], "Did you mean 'caffe'"),
        (["data", "--out", "run", "--weights", "toy.keras", "--augment", "lite"], "'light'"),
        (["data", "--out", "run", "--classes", "birght"], "birght"),
        (["data", "--out", "run", "--export-float16", "small.npz"], "--export-float16 must end in .h5"),
        (["data", "--out", "run", "--weights", "toy.keras", "--batch-size", "9"], "8 images make no full batch of 9"),
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


@pytest.mark.parametrize(
    "option", [["--learning-rate", "0"], ["--learning-rate", "fast"], ["--epochs", "0"], ["--input-size", "9"]]
)
def test_rejects_numbers_out_of_range(capsys, option):
    with pytest.raises(SystemExit) as caught:
        main(["train", "data", "--out", "run", *option])
    assert caught.value.code == 2
    assert f"argument {option[0]}" in capsys.readouterr().err


def test_values_images_are_held_out_where_there_is_no_split(folder, capsys):
    keras_ssd.data.write(squares(24, 7, "plain"), folder / "plain", "coco")
    for run in ("one", "two"):
        assert main(["train", "plain", *SHORT, "--out", run, "--epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "images             14 to train on, 14 objects" in printed
    assert "validation         10 images, 10 objects, held out of the training images; no copies" in printed
    facts = [json.loads((folder / run / "run.json").read_text()) for run in ("one", "two")]
    assert facts[0]["train"] == facts[1]["train"]
    assert facts[0]["validation"]["name"] == "plain, held out"
    assert main(["train", "plain", *SHORT, "--epochs", "1", "--validation", "none"]) == 0
    printed = capsys.readouterr().out
    assert "24 to train on" in printed
    assert "validation         WARNING, none: nothing will tell which epoch was the best" in printed


def test_rejects_data_that_are_only_there_to_be_tested_on(folder, capsys):
    keras_ssd.data.write({"test": squares(4)}, folder / "exam", "voc")
    assert main(["train", "exam", *SHORT]) == 2
    error = capsys.readouterr().err
    assert "exam has the splits test, and none that is meant for training" in error
    assert "--split test" in error
    assert not (folder / "run").exists()
    assert main(["train", "exam", *SHORT, "--split", "test", "--validation", "none"]) == 0


def test_values_as_many_epochs_as_fit_into_the_time(folder, monkeypatch, capsys):
    from keras_ssd.training import pace, trainer

    monkeypatch.setattr(trainer, "measured_pace", lambda *_: pace.Pace(step=1.0))
    options = ["--out", "run", "--weights", "toy.keras", "--batch-size", "4", "--validation", "none"]
    assert main(["train", "data", *options, "--minutes", "0.5", "--stop-after", "1"]) == 0  # 10 of its 30 seconds train
    assert "epochs             5 of 2 steps of 4 images" in capsys.readouterr().out
    assert main(["train", "data", *options, "--minutes", "9", "--resume"]) == 0  # the schedule is that of the start
    assert len((folder / "run" / "log.csv").read_text().splitlines()) == 6
    assert main(["train", "data", *options, "--minutes", "1", "--epochs", "2"]) == 2
    assert "Give --epochs or --minutes, not both" in capsys.readouterr().err


def test_values_train_and_evaluate_print_the_same_ap(folder, capsys):
    options = ["--out", "run", "--weights", "toy.keras", "--batch-size", "4", "--epochs", "30", "--rate", "0.02"]
    assert main(["train", "data", *options]) == 0
    printed = capsys.readouterr().out
    [line] = [line for line in printed.splitlines() if line.startswith("best on the validation set: ")]
    value = line.split()[5]
    assert main(["evaluate", "data", "--split", "val", "--weights", "run/model.keras", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["measure"] == "voc12"
    assert f"{figures['map']:.3f}" == value
    assert figures["map"] > 0.2
    model = keras_ssd.load("run/model.keras")
    told = f"{model.confidence.value:.2f} (F1 within 0.005 of the best on 4 validation images)"
    assert told.endswith(f"({model.confidence.source})")
    assert f"confidence: {told}" in printed
    assert main(["detect", "data/JPEGImages", "--weights", "run/model.keras"]) in (0, 2)
    printed = capsys.readouterr()
    assert f"confidence {told}" in printed.err
