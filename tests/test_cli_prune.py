"""`keras-ssd prune`, as a user types it."""

import json

import pytest
from training_toys import CLASSES

import keras_ssd
from keras_ssd.cli.main import main

FILES = {"checkpoint.h5", "curves.png", "last.keras", "log.csv", "model.keras", "predictions.png", "run.json"}
SHORT = ["--out", "run", "--epochs", "2", "--batch-size", "4", "--engines", "keras", "--multiple-of", "4"]
SHORT += ["--min-channels", "4"]


@pytest.fixture
def folder(training_folder):
    return training_folder


def test_values_prunes_trains_and_compares(folder, capsys):
    assert main(["prune", "toy.keras", "data", *SHORT, "--flops", "0.7", "--stop-after", "1"]) == 0
    assert main(["prune", "toy.keras", "data", *SHORT, "--flops", "0.7", "--resume"]) == 0
    printed = capsys.readouterr().out
    model, pruned = keras_ssd.load("run/model.keras"), keras_ssd.load("run/pruned.keras")
    for line in (
        "chosen by Taylor importance on images of data/train",
        f"model              toy, {model.count_params():,} parameters",
        "starting weights   toy.keras",
        "schedule           small-data: highest rate 0.001",
        "FLOPs, G",
        "AP on the validation images",
        "MB of the .keras file",
        "ms per image, keras",
        " times as fast",
    ):
        assert line in printed
    assert {path.name for path in (folder / "run").iterdir()} == {*FILES, "pruned.keras"}
    whole = keras_ssd.load("toy.keras")
    assert model.count_params() == pruned.count_params() < whole.count_params()
    assert model.class_names == CLASSES
    facts = json.loads((folder / "run" / "run.json").read_text())
    assert [command.split(" --")[0] for command in facts["commands"]] == ["keras-ssd prune toy.keras data"] * 2
    assert "--flops 0.7" in facts["commands"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.keras", "data"], "There is no weight file at nothing.keras"),
        (["toy.keras", "nowhere"], "nowhere"),
        (["toy.keras", "data", "--flops", "0.0001"], "A share of 0.0001 of the FLOPs cannot be reached"),
        (
            ["toy.keras", "data", "--classes", "dark"],
            "data has the classes dark, the model bright, dark.",
        ),
        (["toy.keras", "data", "--minutes", "1"], "Give --epochs or --minutes, not both"),
    ],
)
def test_rejects_before_anything_is_written(folder, capsys, arguments, message):
    assert main(["prune", *arguments, *SHORT]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "run").exists()


@pytest.mark.parametrize("flops", ["0", "1.5", "half"])
def test_rejects_shares_out_of_range(capsys, flops):
    with pytest.raises(SystemExit):
        main(["prune", "a.keras", "data", "--out", "run", "--flops", flops])
    assert f"expected the share that is left, above 0 and up to 1; received {flops}" in capsys.readouterr().err
