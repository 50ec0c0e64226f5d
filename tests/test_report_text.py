"""What a report says in sentences: the verdict, what scores mean, and what to try."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_scenes import found, trained, truth

from keras_ssd.evaluation import figures, measure
from keras_ssd.evaluation.analysis import Interval, analyse
from keras_ssd.evaluation.analysis.calibration import Calibration
from keras_ssd.evaluation.origin import Origin, Training, read_training
from keras_ssd.evaluation.report import report_text

CAT, DOG = 0, 1
BOX = (50, 50, 90, 90)
AWAY = (150, 150, 190, 190)


def test_values_the_verdict_names_the_main_loss():
    small = [(i % 2, CAT, 10 * i, 10, 10 * i + 9, 20) for i in range(12)]
    large = [(i % 2, CAT, 15 * i, 60, 15 * i + 110, 190) for i in range(6)]
    hits = [(p, c, 0.9, *box) for p, c, *box in large]
    analysis = analyse(measure(found(*hits), truth(*small, *large), "voc12"))
    assert report_text.headline(
        analysis
    ) == "Main loss: objects without any detection; 100 % of the misses are small".replace("100 %", "100\u00a0%")
    assert "Of the objects that are small, 100\u00a0% are missed (of all objects, 67\u00a0%)" in "".join(
        report_text.findings(analysis)
    )
    alarms = [(0, CAT, 0.95, 0, 100, 5 + i, 110) for i in range(8)]
    analysis = analyse(measure(found(*alarms, *hits), truth(*large), "voc12"))
    assert report_text.headline(analysis) == "Main loss: false alarms where no object is"
    analysis = analyse(measure(found(*hits), truth(*large), "voc12"))
    assert report_text.headline(analysis).startswith("Little is lost")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 7, "0"), (1, 7, "14"), (1, 200, "below 1"), (199, 200, "above 99"), (7, 7, "100"), (0, 0, "n/a")],
)
def test_values_percent(part, whole, text):
    assert figures.percent(part, whole).replace("\u00a0%", "") == text


def test_values_signs():
    assert [figures.signed(value) for value in (0.0123, -0.0019, 0.0001, -0.0001, np.nan)] == [
        "+0.012",
        "−0.002",
        "0.000",
        "0.000",
        "n/a",
    ]


def test_values_bounds_that_are_apart_never_read_as_zero():
    assert figures.bounds(Interval(-0.01, -0.0212, -0.0003)) == "−0.0212 to −0.0003"
    assert figures.bounds(Interval(-0.01, -0.0212, 0.0003)) == "−0.021 to 0.000"


def bars(*rows):
    """A `Calibration` of (count, mean score, share true) of the first bins; the others are empty."""
    counts = np.zeros(10, int)
    scores, shares = np.full(10, np.nan), np.full(10, np.nan)
    for place, (count, score, share) in rows:
        counts[place], scores[place], shares[place] = count, score, share
    off = np.nansum(np.abs(scores - shares) * counts) / counts.sum()
    bias = np.nansum((scores - shares) * counts) / counts.sum()
    return Calibration(np.linspace(0, 1, 11), counts, scores, shares, float(off), float(bias))


def said_of(*rows):
    return report_text.calibration_sentence(SimpleNamespace(calibration=bars(*rows)))


WEAK = (0, (10_000, 0.08, 0.001))  # what a user never sees


def test_values_scores_are_called_what_the_bars_show():
    high, low = (8, (100, 0.85, 0.4)), (5, (100, 0.55, 0.95))
    assert said_of(high) == (
        "Scores are too high from 0.8 to 0.9 (0.85 on average, and 40\u00a0% of such detections are true)."
    )
    assert said_of(low, (6, (300, 0.65, 0.99))) == (
        "Scores are too low from 0.5 to 0.7 (0.62 on average, and 98\u00a0% of such detections are true)."
    )
    assert "too low from 0.5 to 0.6" in said_of(low, high)
    assert "too high from 0.8 to 0.9" in said_of(low, high)


def test_values_many_weak_detections_do_not_turn_the_verdict():
    """Their bias is positive, and all bars that are seen are above the diagonal."""
    seen = [(place, (60, 0.05 + place / 10, min(1.0, 0.3 + place / 10))) for place in range(2, 9)]
    assert bars(WEAK, *seen).bias > 0.05
    text = said_of(WEAK, *seen)
    assert "too low from 0.2 to 0.9" in text
    assert "too high from 0.0 to 0.1" in text
    good = (0, (100_000, 0.012, 0.01))
    assert bars(good, *seen).ece < 0.03
    assert "too low from 0.2 to 0.9" in said_of(good, *seen)


def test_values_scores_that_are_right_or_too_few():
    right = [(place, (1000, 0.05 + place / 10, 0.05 + place / 10 + 0.02)) for place in range(10)]
    assert said_of(*right).startswith("Scores can be read as probabilities")
    assert said_of((5, (4, 0.55, 0.0)), *right[6:]).startswith("Scores can be read as probabilities")
    assert said_of((5, (16, 0.55, 0.37)), *right[6:]).startswith("Scores can be read as probabilities")  # chance


def asked(training):
    return report_text._training_advice(Origin("ssd", (300, 300), "runs/a/model.keras", training))


def test_values_a_model_that_still_learns_is_told_to_train_longer():
    text = "The training ended after 3 epochs, when the mean AP on the validation set was still rising"
    assert asked(trained(0.1, 0.2, 0.3)) == f"{text} (from 0.200 to 0.300): train longer, over more epochs."
    assert asked(trained(0.3)) == "The training ended after 1 epoch: train longer."
    falling = trained(5.0, 3.0, 2.0, name="loss")
    assert "the loss was still falling (from 3.000 to 2.000)" in asked(falling)
    nothing_found = Training(tuple({**row, "val_mAP": 0.0} for row in falling.rows), {})
    assert "still falling" in asked(nothing_found)
    assert "after 10 epochs" in asked(trained(*np.linspace(0.1, 0.6, 10)))


def test_values_a_model_that_has_learnt_is_not():
    assert asked(trained(0.5, 0.6, 0.605)) == ""
    assert asked(trained(0.5, 0.6, 0.4)) == ""
    assert asked(trained(*[0.5] * 8, 0.2, 0.505)) == ""
    assert asked(trained(2.0, 1.0, 0.99, name="loss")) == ""
    assert asked(None) == ""
    assert report_text._training_advice(None) == ""


def test_roundtrip_what_a_training_leaves_is_read_beside_the_model(tmp_path):
    model = tmp_path / "model.keras"
    model.write_bytes(b"")
    assert read_training(model) is None
    (tmp_path / "log.csv").write_text("epoch,loss,val_mAP\n1.0,3.5,\n2.0,2.5,0.25\n")
    assert read_training(model) == Training(
        ({"epoch": 1.0, "loss": 3.5}, {"epoch": 2.0, "loss": 2.5, "val_mAP": 0.25}), {}
    )
    run = {"settings": {"epochs": 4, "recipe": "caffe"}, "train": {"name": "pets/train", "images": 90}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    training = read_training(str(model))
    assert (training.settings, training.data) == (run["settings"], "pets/train, 90 images")
    (tmp_path / "log.csv").write_text("epoch,loss\nx,y\n")
    assert read_training(model) is None
    assert read_training("ssd300.voc07+12") is None
    assert read_training(None) is None


def test_values_a_cheaper_threshold_is_named():
    box = (10, 10, 50, 50)
    objects = truth(*((place, CAT, *box) for place in range(10)), images=10)
    weak = found(*((place, CAT, 0.3 - place / 100, *box) for place in range(10)), images=10)
    analysis = analyse(measure(weak, objects, "voc12"))
    (first, *_) = report_text.advice(analysis)
    assert "The cheapest gain is another threshold: 0.21 instead of the default, 0.5. F1" in first
    assert "F1 rises from 0.00 to 1.00 (10 instead of 0 objects found, 0 instead of 0 wrong boxes)" in first
    strong = found(*((place, CAT, 0.9 - place / 100, *box) for place in range(10)), images=10)
    assert not any("threshold:" in text for text in report_text.advice(analyse(measure(strong, objects, "voc12"))))
    (first, *_) = report_text.advice(analysis, Origin("ssd", (300, 300), confidence=0.255))
    assert "0.21 instead of the model's own, 0.26. F1 rises from 0.67 to 1.00 (10 instead of 5 objects found" in first
    own = Origin("ssd", (300, 300), confidence=0.21)
    assert not any("threshold:" in text for text in report_text.advice(analysis, own))
    assert analysis.at(0.245).found == 6
    assert analysis.at(0.245).recall == pytest.approx(0.6)
