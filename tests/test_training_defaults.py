"""What a training decides by itself: held-out images, input size, anchors, its end, and the threshold of its model."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from training_toys import run, squares, toy

import keras_ssd
from keras_ssd.cli.training_words import ended
from keras_ssd.data import Annotation, Dataset
from keras_ssd.data.holding_out import hold_out
from keras_ssd.decoding import Confidence
from keras_ssd.evaluation import evaluate
from keras_ssd.evaluation.analysis import WorkingPoint
from keras_ssd.evaluation.origin import Training
from keras_ssd.training import defaults, finishing, pace
from keras_ssd.training.trainer import History
from keras_ssd.zoo.port import PortReport
from keras_ssd.zoo.subsample import SubsampleReport


def noise(names, seed=0, size_hw=(24, 32), box=(2, 2, 12, 12)):
    """A dataset of images of noise with one object each; no two look alike."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 255, (*size_hw, 3), dtype=np.uint8) for _ in names]
    return Dataset(
        "noise",
        ("thing",),
        [Annotation(n, i, [box], [0], size_hw) for n, i in zip(names, images, strict=True)],
    )


def names_of(data):
    return {annotation.name for annotation in data}


@pytest.mark.parametrize(("count", "held"), [(4, 2), (30, 10), (100, 15), (160, 24)])
def test_values_so_many_images_are_held_out_and_the_same_each_time(count, held):
    data = noise([f"i{n:03}" for n in range(count)])
    first, second = hold_out(data, seed=3), hold_out(data, seed=3)
    assert (len(first.validation), len(first.training)) == (held, count - held)
    assert names_of(first.validation) == names_of(second.validation)
    assert names_of(first.validation).isdisjoint(names_of(first.training))
    assert names_of(hold_out(data, seed=4).validation) != names_of(first.validation)
    assert first.why == "no copies of one image among them"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("i{image}_jpg.rf.{copy:032x}", "27 copies by their names"),
        ("i{image} ({copy})", "27 copies by their names"),
        ("i{image}_aug{copy}", "27 copies by their names"),
        ("film{image}_frame_{copy:04}", "frames of one film"),
    ],
)
def test_values_copies_by_name_stay_together(pattern, why):
    data = noise([pattern.format(image=image, copy=copy) for image in range(9) for copy in range(4)])
    cut = hold_out(data)
    prefix = len(pattern.split("{")[0]) + 1
    sides = [{name[:prefix] for name in names_of(part)} for part in (cut.training, cut.validation)]
    assert sides[0].isdisjoint(sides[1])
    assert len(cut.validation) == 8  # two images of the nine, and a third would be more than 10
    assert cut.why == f"kept together: {why}"


def test_values_images_that_look_alike_stay_together():
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (8, 9, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(20)]
    images = [np.clip(scene.astype(int) + shift, 0, 255).astype(np.uint8) for scene in scenes for shift in (0, 3)]
    order = rng.permutation(len(images))
    data = Dataset(
        "twins", ("thing",), [Annotation(f"n{k:02}", images[k], [[1, 1, 9, 9]], [0], (64, 72)) for k in order]
    )
    cut = hold_out(data)
    scene = [{int(name[1:]) // 2 for name in names_of(part)} for part in (cut.training, cut.validation)]
    assert scene[0].isdisjoint(scene[1])
    assert cut.why == "kept together: 40 that look alike"


def test_rejects_images_that_are_all_copies_of_one():
    with pytest.raises(ValueError, match="all copies or frames of one, so none can be held out"):
        hold_out(noise([f"a ({n})" for n in range(6)]))
    with pytest.raises(ValueError, match="has 1 images; at least 2"):
        hold_out(noise(["a"]))


@pytest.mark.parametrize(
    ("size_hw", "box", "expected"),
    [
        ((480, 640), (100, 100, 250, 250), (240, 320)),
        ((640, 480), (100, 100, 250, 250), (320, 240)),
        ((416, 416), (100, 100, 250, 250), (272, 272)),
        ((480, 640), (100, 100, 125, 125), (304, 416)),  # 25 of 640 pixels would be 12.5 of 320
        ((480, 640), (100, 100, 105, 105), (336, 448)),  # twice the pixels, not more
        ((100, 800), (10, 10, 90, 90), (192, 384)),
    ],
)
def test_values_the_input_has_the_shape_of_the_images(size_hw, box, expected):
    annotations = [Annotation(f"i{n}", "none.png", [box], [0], size_hw) for n in range(3)]
    assert defaults.input_size(Dataset("plain", ("thing",), annotations)) == expected


def test_values_anchors_are_fitted_where_the_usual_ones_match_too_little():
    model = keras_ssd.ssd_small(classes=["thing"], input_size=(240, 320))
    sizes = [Annotation(f"i{n}", "none.png", [(130, 100, 175, 145)], [0], (240, 320)) for n in range(9)]
    kept = defaults.anchors_for(Dataset("plain", ("thing",), sizes), model)
    assert (kept.spec, kept.why) == (None, "as they come, which match 100.0% of the objects")
    large = [Annotation(f"i{n}", "none.png", [(5, 5, 310 - n, 235)], [0], (240, 320)) for n in range(9)]
    fitted = defaults.anchors_for(Dataset("large", ("thing",), large), model)
    assert fitted.why == "fitted to the training images, match 100.0% of the objects, the usual ones 0.0%"
    assert keras_ssd.anchors.report(fitted.spec, Dataset("large", ("thing",), large)).recall == 1
    assert defaults.anchors_for(Dataset("plain", ("thing",), sizes), model, fit=True).spec is not None


@pytest.mark.parametrize(
    ("name", "kept", "initialised", "share"),
    [
        ("ssd_mobilenet_v1", (), ("mole", "newt"), 0.5),
        ("ssd_mobilenet_v1", (("dog", "dog"),), ("newt",), 0.1),
        ("ssd_mobilenet_v1", (("dog", "dog"),), (), 0.01),
        ("ssd_mobilenet_v1", (), (), 0.1),
        ("ssd300", (("dog", "dog"),), (), 0.1),  # not tried
        ("ssd300", (), ("mole", "newt"), 0.1),  # not tried
    ],
)
def test_values_the_rate_of_a_started_training_follows_what_is_there_to_lose(name, kept, initialised, share):
    classes = SubsampleReport(kept, initialised, ("head",), ("dog", "cat"))
    for report in (classes, PortReport("a.tflite", (), 0, classes=classes)):
        assert defaults.share_of_rate(SimpleNamespace(name=name, weights_report=report)) == share
    assert defaults.share_of_rate(SimpleNamespace(name=name, weights_report=None)) == 0.1


def test_values_pace():
    one = pace.Pace(step=0.5, validation=2.0)
    assert one.every(10) == 2  # 2 of 10 seconds are a fifth
    assert one.every(1) == 10  # never rarer
    assert one.seconds(20, 10) == 20 + 20 * 5 + 10 * 2
    assert one.epochs_within(140, 10) == 20
    assert one.epochs_within(1, 10) == 1


def test_values_a_training_ends_when_nothing_gets_better(tmp_path, monkeypatch):
    from keras_ssd.training import training_callback

    values = iter([0.2, 0.4, 0.396, 0.3, 0.3, 0.3, 0.9])
    monkeypatch.setattr(
        training_callback.Evaluate, "on_epoch_end", lambda _, epoch, logs: logs.update(val_mAP=next(values))
    )
    history = run(tmp_path, validation=squares(4, 1), epochs=9, patience=3)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4, 5, 6]  # the third is near the best
    assert not history.interrupted
    assert (tmp_path / "last.keras").is_file()
    again = run(tmp_path, validation=squares(4, 1), epochs=9, patience=3, resume=True)
    assert again.rows == history.rows


def test_values_starting_weights_that_no_epoch_betters_are_kept(tmp_path, monkeypatch):
    from keras_ssd.training import training_callback

    held = squares(6, 1, "held")
    model = toy()
    first = run(tmp_path / "first", model=model, data=squares(16), validation=held, epochs=30)
    assert first.start is None  # random weights find nothing
    start, started = evaluate(model, held, "voc12", progress=False).map, model.get_weights()
    values = iter([0.01, 0.02, 0.9])
    monkeypatch.setattr(
        training_callback.Evaluate, "on_epoch_end", lambda _, epoch, logs: logs.update(val_mAP=next(values))
    )
    history = run(tmp_path / "second", model=model, data=squares(16), validation=held, epochs=9, patience=2)
    assert history.start == pytest.approx(start)
    assert start > 0.05
    assert len(history.rows) == 2  # two epochs were not better than the start
    for weights in (model.get_weights(), keras_ssd.load(tmp_path / "second" / "model.keras").get_weights()):
        assert all(np.array_equal(*pair) for pair in zip(weights, started, strict=True))
    last = keras_ssd.load(tmp_path / "second" / "last.keras").get_weights()
    assert not all(np.array_equal(*pair) for pair in zip(last, started, strict=True))
    assert "before the first epoch: " in ended(history)
    assert "No epoch was better than the starting weights, so model.keras has these." in ended(history)
    values = iter([start / 2, 1.0])  # of equals the trained one
    better = run(tmp_path / "third", model=model, data=squares(16), validation=held, epochs=2, stop_after=1)
    assert better.start == pytest.approx(start)
    assert better.interrupted
    fresh = toy()
    fresh.set_weights(started)
    better = run(tmp_path / "third", model=fresh, data=squares(16), validation=held, epochs=2, resume=True)
    assert better.start == pytest.approx(start)  # as before the interruption
    assert f"best on the validation set: {better.best_model.ap:.3f}" in ended(better)
    assert "after epoch 2" in ended(better)


def test_values_both_models_are_measured_and_have_a_threshold(tmp_path):
    model, held = toy(), squares(6, 1, "held")
    history = run(tmp_path, model=model, data=squares(16), validation=held, epochs=30)
    for name, measured in (("model.keras", history.best_model), ("last.keras", history.last_model)):
        saved = keras_ssd.load(tmp_path / name)
        result = evaluate(saved, held, "voc12", progress=False)
        assert measured.ap == pytest.approx(result.map, abs=1e-6)
        point = result.analysis.cautious_point(0.005)
        assert saved.confidence == measured.confidence
        assert saved.confidence.value == math.floor(point.threshold * 1000) / 1000
        assert saved.confidence.source == "F1 within 0.005 of the best on 6 validation images"
    assert history.best_model.ap >= history.last_model.ap - 0.005
    assert model.confidence == history.best_model.confidence


def test_roundtrip_confidence(tmp_path):
    model = toy()
    image = squares(1)[0].image
    assert model.confidence is None
    assert "confidence_threshold" not in model.final_decoding
    model.confidence = Confidence(0.04, "highest F1 on 3 images")
    model.save(tmp_path / "model.keras")
    again = keras_ssd.load(tmp_path / "model.keras")
    assert again.confidence == model.confidence
    assert again.decoding == {}  # what its predictions want is another thing
    assert keras_ssd.with_decoder(again).get_layer("detections").options.confidence_threshold == 0.04
    [own], [asked] = again.detect([image]), again.detect([image], confidence=0.04)
    assert len(own) == len(asked) > 0
    [other] = again.detect([image], confidence=0.9)
    assert len(other) < len(own)


def test_values_a_training_that_still_rose_is_told_so_by_the_rule_of_the_report(tmp_path):
    measured = finishing.Measured(0.5, WorkingPoint(0.3, 0.8, 0.9, 0.7, 7, 1, 10), Confidence(0.3, "highest F1"))

    def said(*values):
        rows = tuple({"epoch": place + 1, "loss": 1.0, "val_mAP": value} for place, value in enumerate(values))
        return ended(History(rows, tmp_path, best_model=measured, last_model=measured))

    assert said(0.1, 0.2, 0.3).endswith(
        "The AP still rose at the end, from 0.200 to 0.300: more --epochs are likely to bring more."
    )
    for values in ((0.1, 0.2, 0.3), (0.5, 0.6, 0.605), [0.5] * 8 + [0.2, 0.512], [0.1] * 40 + [0.12]):
        rows = tuple({"epoch": place + 1, "loss": 1.0, "val_mAP": value} for place, value in enumerate(values))
        assert ("still rose" in said(*values)) == (Training(rows).progress() is not None)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), True])
def test_rejects_confidence_out_of_range(value):
    with pytest.raises(ValueError, match="must lie in 0..1"):
        Confidence(value)
    with pytest.raises(TypeError, match="must be a `Confidence`"):
        toy().confidence = 0.3
