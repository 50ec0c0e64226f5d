"""Logs of a training at MLflow, Weights & Biases and TensorBoard. The first two are stand-ins here."""

import importlib
import importlib.util
import json
import math
import sys
import types
from pathlib import Path

import keras
import log_services
import pytest
from training_toys import run, squares

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.training import History
from keras_ssd.training.logs.logs import Logs, check_logs
from keras_ssd.training.logs.mlflow_log import allowed

NUMBERS = {"loss", "localization_loss", "confidence_loss", "positives", "learning_rate", "seconds", "val_mAP"}
SETTINGS = {"epochs": 2, "recipe": "small-data", "seed": 0, "model": "toy", "input_size": "16x24", "anchors": 24}
KEPT = ["model.keras", "curves.png", "predictions.png", "log.csv"]


@pytest.fixture
def services(monkeypatch):
    """{name: `Recorder`} of stand-ins that are imported in place of the packages."""
    return installed(monkeypatch)


def installed(monkeypatch):
    recorders = {name: log_services.Recorder() for name in ("mlflow", "wandb")}
    for name, recorder in recorders.items():
        monkeypatch.setitem(sys.modules, name, getattr(log_services, name)(recorder))
    return recorders


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A training that goes to all three: its `History`, the recorders, and what a callback of the user saw."""
    seen, names = [], ["mlflow", "wandb"]
    names += ["tensorboard"] if importlib.util.find_spec("tensorboard") else []
    spy = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(set(logs)))
    with pytest.MonkeyPatch.context() as patch:
        recorders = installed(patch)
        out = tmp_path_factory.mktemp("logged") / "run"
        history = run(out, validation=squares(2, 1), epochs=2, log=names, callbacks=[spy])
    return types.SimpleNamespace(history=history, out=out, seen=seen, **recorders)


def ended(out, resume=False, stopped=False, names=("mlflow", "wandb")):
    """What a training of one epoch does with its logs."""
    with Logs(check_logs(names), out) as logs:
        logs.begin({"seed": 0}, resume)
        for log in logs.callbacks:
            log.on_epoch_end(int(resume), {"loss": 0.5, "seconds": 1.0, "val_AP rare": math.nan})
            log.on_epoch_end(7, {"loss": 0.5})  # an epoch that was interrupted
        logs.finish(History(({"epoch": 1 + resume, "loss": 0.5},), out, stopped))


def test_values_of_mlflow(logged):
    assert logged.mlflow.of("start_run") == [(None, "run")]
    [parameters] = logged.mlflow.of("log_params")
    assert {name: parameters[name] for name in SETTINGS} == {name: str(value) for name, value in SETTINGS.items()}
    *epochs, (step, last) = logged.mlflow.of("log_metrics")
    assert [number for number, _ in epochs] == [1, 2]
    for (_, values), row in zip(epochs, logged.history.rows, strict=True):
        assert values.keys() >= NUMBERS
        assert (values["loss"], values["val_mAP"]) == (row["loss"], row["val_mAP"])
    assert step == 2
    assert last["best_AP"] == logged.history.best_model.ap
    assert last["last_AP"] == logged.history.last_model.ap
    assert logged.mlflow.of("log_artifact") == [str(logged.out / name) for name in KEPT]
    assert logged.mlflow.calls[-1] == ("end_run", "FINISHED")


def test_values_of_weights_and_biases(logged):
    [(project, name, config, identity, resume)] = logged.wandb.of("init")
    assert (project, name, identity, resume) == ("keras_ssd", "run", None, None)
    assert SETTINGS.items() <= config.items()
    assert [step for step, _ in logged.wandb.of("log")] == [1, 2, None]
    assert logged.wandb.of("log")[1][1]["val_mAP"] == logged.history.rows[1]["val_mAP"]
    assert logged.wandb.of("log")[2][1].keys() == {"curves", "predictions"}
    assert logged.wandb.of("summary")[0]["best_AP"] == logged.history.best_model.ap
    [artifact] = logged.wandb.of("log_artifact")
    assert artifact == ["run-w1", "model", *(str(logged.out / name) for name in KEPT)]
    assert logged.wandb.calls[-1] == ("finish", 0)


def test_values_of_tensorboard(logged):
    pytest.importorskip("tensorboard")
    found = events(logged.out / "tensorboard")
    for name in ("loss", "learning_rate", "val_mAP"):
        assert [step for step, _ in found[name]] == [1, 2]
        for (_, value), row in zip(found[name], logged.history.rows, strict=True):
            assert math.isclose(value.simple_value, row[name], rel_tol=1e-6, abs_tol=1e-7)
    best = logged.history.best_model.ap
    assert math.isclose(found["best_AP"][0][1].simple_value, best, rel_tol=1e-6, abs_tol=1e-7)
    assert "| model | toy |" in found["settings"][0][1].tensor.string_val[0].decode()
    assert (found["curves"][0][1].image.width, found["curves"][0][1].image.height) == (720, 720)


def events(folder):
    """{tag: [(step, value)]} of TensorBoard's files."""
    loader = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    found = {}
    for path in sorted(folder.glob("events*")):
        for event in loader.RawEventFileLoader(str(path)).Load():
            read = loader.event_pb2.Event.FromString(event)
            for value in read.summary.value:
                found.setdefault(value.tag, []).append((read.step, value))
    return found


def test_values_keras_callbacks_see_the_measurements(logged):
    assert len(logged.seen) == 2
    assert logged.seen[0] >= NUMBERS


def test_values_a_resumed_training_goes_on_with_its_runs(tmp_path, services):
    mlflow, wandb = services["mlflow"], services["wandb"]
    ended(tmp_path, stopped=True)
    assert json.loads((tmp_path / "log.json").read_text()) == {"mlflow": "m1", "wandb": "w1"}
    assert mlflow.calls[-1] == ("end_run", "KILLED")
    assert wandb.calls[-1] == ("finish", 130)
    ended(tmp_path, resume=True)
    assert mlflow.of("start_run") == [(None, tmp_path.name), ("m1", None)]
    assert len(mlflow.of("log_params")) == 1  # MLflow refuses to change them
    assert wandb.of("init")[1][3:] == ("w1", "allow")
    assert mlflow.of("log_metrics") == [(1, {"loss": 0.5, "seconds": 1.0}), (2, {"loss": 0.5, "seconds": 1.0})]


def test_values_runs_that_are_open_stay_open(tmp_path, services):
    sys.modules["mlflow"].start_run(run_name="mine")
    own = sys.modules["wandb"].init("p", "mine", {})
    own.config = types.SimpleNamespace(update=lambda values, allow_val_change: services["wandb"].note("config", values))
    ended(tmp_path)
    assert services["mlflow"].of("start_run") == [(None, "mine")]
    assert services["mlflow"].of("end_run") == []
    assert services["wandb"].of("config") == [{"seed": 0}]
    assert services["wandb"].of("finish") == []


def test_values_a_service_that_fails_later_does_not_cost_the_training(tmp_path, services, caplog):
    services["mlflow"].refuse = "log_metrics"
    ended(tmp_path)
    [record] = caplog.records
    assert record.getMessage() == (
        "MLflow takes nothing more: no connection. The training goes on without it; its numbers are in "
        f"{tmp_path / 'log.csv'}."
    )
    assert services["wandb"].calls[-1] == ("finish", 0)


def test_values_a_training_that_fails_is_marked_as_failed(tmp_path, services):
    (tmp_path / "model.keras").write_bytes(b"of the epoch before")

    def fails():
        with Logs(("mlflow", "wandb"), tmp_path) as logs:
            logs.begin({}, False)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fails()
    assert services["mlflow"].calls[-1] == ("end_run", "FAILED")
    assert services["wandb"].calls[-1] == ("finish", 1)
    assert services["mlflow"].of("log_artifact") == []


def test_rejects_a_service_that_cannot_be_reached_before_the_first_step(tmp_path, services):
    services["wandb"].refuse = "init"
    with pytest.raises(ValueError, match="^Weights & Biases cannot be logged to: no connection.$"):
        run(tmp_path / "run", log=["mlflow", "wandb"])
    assert not (tmp_path / "run").exists()
    assert services["mlflow"].calls[-1] == ("end_run", "FAILED")


def test_rejects_a_run_that_is_gone_with_what_to_do(tmp_path, services):
    ended(tmp_path)
    services["mlflow"].refuse = "start_run"
    with pytest.raises(ValueError, match=r"no connection\. To begin a new run there, delete .*log\.json and resume"):
        ended(tmp_path, resume=True)


def test_values_names_that_mlflow_takes():
    assert allowed("val_AP person (grün)") == "val_AP person _gr_n_"
    assert allowed("val_AP a/b-c.d") == "val_AP a/b-c.d"


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard"])
def test_rejects_a_log_whose_package_is_missing(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"needs the package `{name}`: pip install 'keras-ssd\[{name}\]'"):
        run(tmp_path / "run", log=name)
    assert not (tmp_path / "run").exists()


def test_values_from_the_shell(training_folder, services, monkeypatch, capsys):
    options = ["--out", "run", "--weights", "toy.keras", "--epochs", "1", "--batch-size", "4", "--log"]
    assert main(["train", "data", *options, "mlfow"]) == 2
    assert "Unknown log 'mlfow'. Did you mean 'mlflow'? Known: mlflow, wandb, tensorboard." in capsys.readouterr().err
    assert not Path("run").exists()

    def stop(*_, log, **options):
        raise ValueError(f"asked for {log}")

    monkeypatch.setattr("keras_ssd.training.trainer.train", stop)
    monkeypatch.delitem(vars(keras_ssd.training), "train", raising=False)
    assert main(["train", "data", *options, "mlflow,wandb"]) == 2
    assert "asked for ('mlflow', 'wandb')" in capsys.readouterr().err
