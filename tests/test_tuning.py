"""The search of settings: what it proposes, what it keeps, how it goes on. Trainings are played here, but for one.

Most tests keep the trials in memory, because a database takes seconds to make.
"""

import json
import re
import shlex
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
from training_toys import run, squares

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.data import Annotation, Dataset
from keras_ssd.training import DivergedError, History
from keras_ssd.training.finishing import Measured
from keras_ssd.training.pace import Pace
from keras_ssd.training.settings import Settings
from keras_ssd.tuning import study
from keras_ssd.tuning import trial as trials
from keras_ssd.tuning.space import input_sizes, make_space, plain_anchors
from keras_ssd.tuning.study import tenth

optuna = pytest.importorskip("optuna")
pytest.importorskip("jinja2")
FILES = {"model.keras", "last.keras", "checkpoint.h5", "log.csv", "curves.png"}
SPACE = {"learning_rate": [1e-3, 1e-2], "augment": ["light", "mosaic"]}


class Played:
    """In place of `train`: each call takes the next of `endings`, APs of the epochs or an exception at the end."""

    def __init__(self, endings):
        self.endings, self.calls = list(endings), []

    def __call__(self, model, train_set, validation_set, *, out, callbacks, planned, epochs, minutes, **options):
        values = self.endings[len(self.calls) % len(self.endings)]
        self.calls.append({"out": out, "epochs": epochs, "minutes": minutes, **options})
        epochs = len(values)
        planned(types.SimpleNamespace(settings=Settings(epochs, 4)))
        out.mkdir(parents=True)
        for name in FILES:
            (out / name).write_text(f"{name} of call {len(self.calls) - 1}")
        for epoch, value in enumerate(values):
            if isinstance(value, BaseException):
                raise value
            if value == "stop":
                return History((), out, True)
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"seconds": 1.0, "val_mAP": value})
        return History((), out, best_model=Measured(max(values), None, None))


@pytest.fixture
def memory(monkeypatch):
    """Trials are kept in memory, those of each folder apart."""
    kept = {}
    monkeypatch.setattr(study, "storage_of", lambda out: kept.setdefault(out, optuna.storages.InMemoryStorage()))


@pytest.fixture
def play(memory, on_disk):
    return on_disk


@pytest.fixture
def on_disk(monkeypatch):
    """Function that plays trainings with these endings."""

    def play(*endings):
        played = Played(endings)
        monkeypatch.setattr(trials, "train", played)
        return played

    return play


def search(out, **options):
    small = types.SimpleNamespace(count_params=lambda: 7)
    options = {"space": SPACE, "build": lambda values: small, "display": False, "batch_size": 4, **options}
    return keras_ssd.tune(squares(4), squares(2, 1), out=out, **options)


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_values_the_best_model_is_kept_and_nothing_else_that_is_large(tmp_path, play):
    played = play([0.1, 0.2], [0.3, 0.6], [0.2, 0.5])
    found = search(tmp_path, trials=3)
    assert [(trial.number, trial.ap, trial.ended) for trial in found.trials] == [
        (0, 0.2, "complete"),
        (1, 0.6, "complete"),
        (2, 0.5, "complete"),
    ]
    assert found.best == found.trials[1]
    assert found.model.read_text() == "model.keras of call 1"
    assert files(tmp_path) == {"model.keras", "search.json", "trials", "tune.html"}
    assert [files(folder) for folder in sorted((tmp_path / "trials").iterdir())] == [
        {"log.csv", "curves.png"},
        {"log.csv", "curves.png", "model.keras"},
        {"log.csv", "curves.png"},
    ]
    assert [path["out"].name for path in played.calls] == ["000", "001", "002"]
    assert [trial.parameters for trial in found.trials] == [7, 7, 7]


def test_values_the_first_trial_is_the_plain_training(tmp_path, play):
    played = play([0.5])
    found = search(tmp_path, trials=4, seed=3)
    assert found.trials[0].settings == {"augment": "light", "learning_rate": 0.002}
    for call, trial in zip(played.calls, found.trials, strict=True):
        assert (call["learning_rate"], call["augment"]) == (trial.settings["learning_rate"], trial.settings["augment"])
        assert 1e-3 <= call["learning_rate"] <= 1e-2
        assert call["learning_rate"] == float(f"{call['learning_rate']:.3g}")  # as a command has it
        assert (call["seed"], call["minutes"], call["epochs"]) == (3, 6.0, 150)
    assert len({trial.settings["learning_rate"] for trial in found.trials}) == 4


def test_values_a_trial_below_the_median_is_pruned(tmp_path, play):
    good, bad = [0.4 + 0.01 * epoch for epoch in range(10)], [0.1] * 10
    play(good, good, good, bad)
    found = search(tmp_path, trials=4)
    assert [trial.ended for trial in found.trials] == ["complete"] * 3 + ["pruned"]
    assert found.trials[3].curve == {1: 0.1, 2: 0.1, 3: 0.1}  # not before three tenths
    assert found.trials[3].ap == 0.1
    assert files(tmp_path / "trials" / "003") == {"log.csv", "curves.png"}
    assert found.best.number == 0


def test_values_trials_of_few_epochs_have_a_value_at_every_tenth(tmp_path, play):
    play([0.1, 0.2, 0.3, 0.4])
    [only] = search(tmp_path, trials=1).trials
    assert only.curve == {1: 0.1, 2: 0.1, 3: 0.2, 4: 0.2, 5: 0.2, 6: 0.3, 7: 0.3, 8: 0.4, 9: 0.4, 10: 0.4}


def test_values_tenths_of_a_schedule():
    assert [tenth(epoch, 10) for epoch in (1, 3, 10)] == [1, 3, 10]
    assert [tenth(epoch, 3) for epoch in (1, 2, 3)] == [3, 6, 10]
    assert [tenth(epoch, 25) for epoch in (1, 2, 3, 5, 25)] == [0, 0, 1, 2, 10]


def test_values_trials_that_diverge_or_do_not_fit_are_no_reason_to_stop(tmp_path, play):
    play([0.1, DivergedError("the loss became nan", ["a"])], [MemoryError()], [0.3, 0.4])
    found = search(tmp_path, trials=3)
    assert [trial.ended for trial in found.trials] == ["diverged", "too large", "complete"]
    assert found.best.number == 2


def test_rejects_what_would_fail_in_every_trial_and_leaves_no_folder(tmp_path, play):
    play([OSError("no such image")])
    with pytest.raises(OSError, match="no such image"):
        search(tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_values_a_search_goes_on_where_it_was_stopped(tmp_path, play):
    play([0.3], [0.5, "stop"])
    first = search(tmp_path, trials=3)
    assert first.interrupted
    assert [trial.ended for trial in first.trials] == ["complete", "interrupted"]
    play([0.4], [0.2])
    again = search(tmp_path, trials=3, resume=True)
    assert not again.interrupted
    assert [(trial.ended, trial.ap) for trial in again.trials[2:]] == [("complete", 0.4), ("complete", 0.2)]
    assert again.trials[2].settings == first.trials[1].settings  # the one in hand is done again
    assert again.best.number == 2
    assert again.model.read_text() == "model.keras of call 0"
    settings = [tuple(trial.settings.values()) for trial in again.trials]
    assert len(set(settings)) == 3  # the sampler does not begin anew
    assert not (tmp_path / "trials" / "001").exists()


class Killed(BaseException):
    """What a killed process leaves behind: nothing is told to anybody."""


def test_values_a_killed_search_loses_at_most_the_trial_in_hand(tmp_path, on_disk):
    on_disk([0.3], [Killed()])
    with pytest.raises(Killed):
        search(tmp_path, trials=3)
    assert (tmp_path / "model.keras").read_text() == "model.keras of call 0"
    states = [one.state.name for one in study_of(tmp_path).trials]
    assert states == ["COMPLETE", "RUNNING"]
    on_disk([0.6])
    found = search(tmp_path, trials=2, resume=True)
    assert [(trial.ended, trial.ap) for trial in found.trials] == [
        ("complete", 0.3),
        ("killed", None),
        ("complete", 0.6),
    ]
    assert found.trials[2].settings == found.trials[1].settings
    assert found.model.read_text() == "model.keras of call 0"
    assert files(tmp_path) == {"model.keras", "search.json", "study.db", "trials", "tune.html"}


def study_of(folder):
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")


def test_values_a_trial_that_kills_the_process_twice_is_left_out(tmp_path, play):
    play([0.3], [Killed()])
    with pytest.raises(Killed):
        search(tmp_path, trials=3)
    play([Killed()])
    with pytest.raises(Killed):
        search(tmp_path, trials=3, resume=True)
    play([0.6])
    found = search(tmp_path, trials=2, resume=True)
    assert [trial.ended for trial in found.trials] == ["complete", "killed", "killed", "complete"]
    assert found.trials[1].settings == found.trials[2].settings != found.trials[3].settings


def test_values_the_time_of_all_trials_counts(tmp_path, play, monkeypatch):
    clock = iter(np.arange(0, 1e6, 60.0))  # each trial takes a minute
    monkeypatch.setattr(trials.time, "perf_counter", lambda: float(next(clock)))
    play([0.3])
    assert len(search(tmp_path, minutes=4, trial_minutes=1).trials) == 4
    assert len(search(tmp_path, minutes=6, trial_minutes=1, resume=True).trials) == 6
    assert len(search(tmp_path, minutes=6, trial_minutes=1, resume=True).trials) == 6


def test_rejects_another_search(tmp_path, play):
    play([0.3])
    with pytest.raises(FileNotFoundError, match=r"There is no .*search\.json to go on from"):
        search(tmp_path / "none", resume=True)
    search(tmp_path, trials=1)
    with pytest.raises(ValueError, match=r"holds a search or a training already \(search\.json, model\.keras\)"):
        search(tmp_path, trials=1)
    with pytest.raises(ValueError, match="seed was 0, now 1"):
        search(tmp_path, trials=2, seed=1, resume=True)
    with pytest.raises(ValueError, match="space was .*mosaic.*, now"):
        search(tmp_path, trials=2, space={**SPACE, "augment": "light"}, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "`minutes` must be positive"),
        ({"space": {"anchors": ["fit"], "rate": 1}}, "Unknown setting to search 'rate'"),
        ({"space": {"augment": ["lihgt"]}}, "Unknown augmentation 'lihgt'. Did you mean 'light'"),
        ({"space": {"learning_rate": [1e-2, 1e-3]}}, "`learning_rate` must be the lowest and the highest"),
        ({"space": {"width": [0]}}, "`width` must be positive"),
        ({"space": {"anchors": ["cell"]}}, "Unknown anchors 'cell'. Did you mean 'cells'"),
    ],
)
def test_rejects_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        search(tmp_path / "search", **options)
    assert not (tmp_path / "search").exists()


def of_size(height, width, side, count=4):
    """Images that are not there, each with one square object."""
    boxes = [[0, 0, side, side]]
    return Dataset(
        "sized", ("a",), [Annotation(f"i{n}", f"i{n}.jpg", boxes, [0], (height, width)) for n in range(count)]
    )


def test_values_input_sizes_have_the_shape_of_the_images_and_are_not_larger():
    assert input_sizes(of_size(480, 640, 200)) == ["192x240", "240x320", "304x400"]
    assert input_sizes(of_size(240, 320, 100)) == ["192x240", "240x320"]


def test_values_anchors_of_the_plain_training():
    assert plain_anchors(of_size(480, 640, 160)) == "general"
    assert plain_anchors(of_size(480, 640, 14)) == "fit"


def test_values_of_the_space():
    space = make_space(of_size(480, 640, 160), 2e-3)
    assert space.searched == ("input_size", "width", "anchors", "augment", "learning_rate")
    assert space.rates == (5e-4, 8e-3)
    assert space.start == {
        "input_size": "240x320",
        "width": 1.0,
        "anchors": "general",
        "augment": "light",
        "learning_rate": 2e-3,
    }
    named = make_space(of_size(480, 640, 160), 2e-3, {"width": 0.5, "input_size": [(96, 128)], "learning_rate": 1e-4})
    assert named.searched == ("anchors", "augment")
    assert (named.start["width"], named.start["input_size"], named.start["learning_rate"]) == (0.5, "96x128", 1e-4)


def test_values_of_the_page(tmp_path, play):
    play([0.1, 0.2], [0.3, 0.6], [DivergedError("nan", [])])
    found = search(tmp_path, trials=3, minutes=30)
    text = found.page.read_text()
    assert "best AP 0.600" in text
    assert "Trial 1 is the best, 0.400 above the settings of a plain training (trial 0)." in text
    assert "2 held-out images" in text
    assert text.count('<td class="n" data-v="') == 3 * 5
    assert "<b>0.600</b>" in text
    assert "diverged" in text
    assert len(re.findall("<svg", text)) == 4  # curves, order, and two settings
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)  # it fetches nothing
    assert "nan" not in text.partition("<main>")[2].lower()


def test_values_of_one_trial_alone(tmp_path, play):
    play([0.0])
    text = search(tmp_path, trials=1, space={"learning_rate": 1e-3, "augment": "light"}).page.read_text()
    assert "Trial 0 is the best: the settings of a plain training." in text
    assert "Fixed: augmentation light, learning rate 0.001." in text


def test_values_epochs_and_minutes_together(tmp_path, monkeypatch):
    from keras_ssd.training import trainer

    monkeypatch.setattr(trainer, "measured_pace", lambda *_: Pace(step=1.0))
    plans = []
    for epochs in (3, 30):  # 10 of the 30 seconds train, 2 steps an epoch

        def planned(plan):
            plans.append(plan.settings.epochs)
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            run(tmp_path / "run", epochs=epochs, minutes=0.5, planned=planned)
    assert plans == [3, 5]


def test_values_widths_of_the_small_model():
    half, whole = (keras_ssd.ssd_small(classes=["a"], input_size=(32, 48), width=width) for width in (0.5, 1.0))
    filters = [model.get_layer(name).filters for model in (half, whole) for name in ("stem1_conv", "stage32_2_conv")]
    assert filters == [8, 96, 16, 192]
    assert half.anchor_spec == whole.anchor_spec
    with pytest.raises(ValueError, match="`width` must be positive"):
        keras_ssd.ssd_small(classes=["a"], width=-1.0)


def test_rejects_a_width_for_other_models(training_folder, capsys):
    assert main(["train", "data", "--out", "run", "--model", "ssd7", "--width", "2"]) == 2
    assert "--width is of ssd_small alone, and cannot be given for ssd7." in capsys.readouterr().err
    assert main(["train", "data", "--out", "run", "--weights", "toy.keras", "--width", "2"]) == 2
    assert "--width is part of a .keras model, and cannot be given with it." in capsys.readouterr().err


def test_rejects_in_the_shell(training_folder, capsys, monkeypatch):
    def said(*words):
        assert main(["tune", "data", "--out", "search", *words]) == 2
        assert not Path("search").exists()
        return capsys.readouterr().err

    assert "needs validation images" in said("--validation", "none")
    assert "--widths is for ssd_small with new heads, and cannot be given for trained weights." in said(
        "--weights", "toy.keras", "--widths", "1"
    )
    assert "Unknown augmentation 'lihgt'. Did you mean 'light'" in said("--augments", "lihgt")
    assert "--rates must be the lowest and the highest" in said("--rates", "0.1,0.01")
    keras_ssd.data.write({"test": squares(4)}, training_folder / "exam", "voc")
    shutil.rmtree("data")
    shutil.move("exam", "data")
    assert "none that is meant for training" in said()
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert "needs the package `optuna`: pip install 'keras-ssd[tune]'" in said()


def test_values_in_the_shell(training_folder, play, capsys):
    played = play([0.2], [0.6], [0.3])
    options = ["--validation", "0.5", "--trials", "3", "--seed", "4", "--log", "tensorboard", "--input-sizes", "32x48"]
    assert main(["tune", "data", "--out", "search", *options, "--batch-size", "2", "--widths", "0.5,1"]) == 0
    printed = capsys.readouterr()
    assert "held out of the training images" in printed.out
    assert "searched: width, anchors, augmentation, learning rate; a trial takes at most 6 min" in printed.out
    assert "trial 0: input size 32x48, width 1, anchors general, augment light, learning rate 0.002" in printed.err
    assert "complete: AP 0.600, 1 epochs" in printed.err
    assert "best so far 0.600, trial 1; 0 of 60 min" in printed.err
    assert "search/model.keras: the model of trial 1, AP 0.600. Trained by:" in printed.out
    call = played.calls[1]
    assert (call["seed"], call["batch_size"], call["log"]) == (4, 2, ("tensorboard",))
    [command] = re.findall(r"^keras-ssd train .*$", printed.out, re.MULTILINE)
    words = shlex.split(command)
    assert words[:5] == ["keras-ssd", "train", "data", "--out", "search/best"]
    for option, value in (
        ("--validation-set", "0.5"),
        ("--seed", "4"),
        ("--batch-size", "2"),
        ("--input-size", "32x48"),
        ("--learning-rate", f"{call['learning_rate']:.3g}"),
        ("--epochs", "1"),
    ):
        assert words[words.index(option) + 1] == value
    assert "--policy" not in words
    assert command in Path("search/tune.html").read_text()
    assert json.loads(Path("search/search.json").read_text())["space"]["width"] == [0.5, 1.0]


@pytest.mark.slow
def test_roundtrip_the_printed_command_does_what_the_trial_did(training_folder, capsys):
    """A real search of two trials; on a CPU its command gives the same numbers again."""
    options = ["--trials", "2", "--input-sizes", "32x48", "--widths", "0.5", "--epochs", "2"]
    assert main(["tune", "data", "--out", "search", *options, "--augments", "light"]) == 0
    [command] = re.findall(r"^keras-ssd train .*$", capsys.readouterr().out, re.MULTILINE)
    assert main(shlex.split(command)[1:]) == 0
    best = keras_ssd.load("search/model.keras")
    again = keras_ssd.load("search/best/model.keras")
    assert best.anchor_spec == again.anchor_spec
    for one, other in zip(best.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
