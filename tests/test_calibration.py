"""Calibrated scores: the map, its fit, and that every path reports the same scores for the same boxes."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from training_toys import CLASSES, squares, toy

import keras_ssd
from keras_ssd.decoding import Confidence, DecodeOptions, ScoreCalibration, decode_arrays, fit_calibration
from keras_ssd.evaluation import DetectionTable, evaluate
from keras_ssd.evaluation.analysis.calibration import calibration as measured
from keras_ssd.evaluation.calibrating import calibrate_by

HALVED = ScoreCalibration(temperature=2.0, shift=-1.0)


def by_log_odds(scores, calibration):
    odds = np.log(scores / (1 - scores))
    return 1 / (1 + np.exp(-(odds + calibration.shift) / calibration.temperature))


def test_values_by_hand():
    assert ScoreCalibration(2.0).apply(0.8) == pytest.approx(2 / 3)  # odds 4 become 2
    assert ScoreCalibration(shift=math.log(3)).apply(0.5) == pytest.approx(0.75)
    assert [HALVED.apply(score) for score in (0.0, 1.0)] == [0, 1]
    scores = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(HALVED.apply(scores), by_log_odds(scores, HALVED), rtol=1e-12)
    assert [HALVED.undo(HALVED.apply(score)) for score in (0.0, 0.3, 1.0)] == pytest.approx([0, 0.3, 1])
    assert not ScoreCalibration()
    assert HALVED


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"temperature": -1.0}, {"temperature": math.inf}, {"shift": math.nan}]
)
def test_rejects_calibrations(wrong):
    with pytest.raises(ValueError, match="a temperature above 0 and a finite shift"):
        ScoreCalibration(**wrong)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": True}, {"score_shift": math.inf}])
def test_rejects_options(wrong):
    with pytest.raises(ValueError, match="must be"):
        DecodeOptions(**wrong)


def drawn(count, seed=0):
    """Scores of a detector that promises too much, and which detections are true: log odds 0.5 x - 1."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.01, 0.99, count)
    return scores, rng.uniform(size=count) < by_log_odds(scores, ScoreCalibration(2.0, -2.0))


def test_values_the_fit_finds_what_made_the_data_and_helps_on_others():
    found = fit_calibration(*drawn(20_000))
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    assert found.shift == pytest.approx(-2.0, rel=0.1)
    scores, true = drawn(20_000, seed=1)
    assert measured(scores, true).ece > 0.2
    assert measured(found.apply(scores), true).ece < 0.02


def test_values_what_cannot_be_fitted():
    scores = np.array([0.2, 0.4, 0.6, 0.8])
    assert fit_calibration(scores, [False] * 4) is None
    assert fit_calibration(scores, [True] * 4) is None
    assert fit_calibration(scores, [True, True, False, False]) is None  # the false ones have the higher scores
    separate = fit_calibration(scores, [False, False, True, True])
    assert separate.temperature < 3
    assert fit_calibration([0.0, 1.0, 0.5], [False, True, False]) is not None


# -- every path ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw():
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = toy()
    pixels = rng.uniform(0, 255, (2, *model.input_size, 3)).astype(np.float32)
    return np.asarray(keras.ops.convert_to_numpy(model(pixels)))


OPTIONS = [{}, {"scores": "sigmoid"}, {"class_agnostic": True}, {"average_boxes": True}, {"confidence_threshold": None}]


@pytest.mark.numerical
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_the_same_boxes_in_the_same_order(raw, options):
    plain = DecodeOptions(**{"confidence_threshold": 0.01, **options})
    before = decode_arrays(raw, plain)
    threshold = plain.confidence_threshold
    threshold = None if threshold is None else float(HALVED.apply(threshold))
    options = dataclasses.replace(plain, temperature=2.0, score_shift=-1.0, confidence_threshold=threshold)
    expected = before.copy()
    used = before[..., 0] >= 0
    expected[..., 1][used] = by_log_odds(before[..., 1][used], HALVED)
    assert used.sum() > (0 if plain.class_agnostic else 20)
    np.testing.assert_allclose(decode_arrays(raw, options), expected, rtol=1e-5, atol=1e-6)
    layer = keras_ssd.DecodeDetections(**vars(options))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(raw)), expected, rtol=1e-4, atol=1e-5)
    again = keras_ssd.DecodeDetections.from_config(layer.get_config())
    assert again.options == options


def test_values_thresholds_are_of_calibrated_scores(raw):
    options = DecodeOptions(temperature=2.0, score_shift=-1.0, confidence_threshold=0.0)
    every = decode_arrays(raw, options)[..., 1]
    middle = float(np.median(every[every > 0]))
    scores = decode_arrays(raw, dataclasses.replace(options, confidence_threshold=middle))[..., 1]
    assert 0 < (scores > 0).sum() == (every > middle).sum() < (every > 0).sum()


@pytest.fixture
def images():
    return [annotation.image for annotation in squares(2)]


def scores_and_boxes(found):
    return [np.array(each.scores) for each in found], [each.boxes_xyxy for each in found]


@pytest.mark.numerical
def test_values_detect_reports_calibrated_scores(images, tmp_path):
    model = toy()
    scores, boxes = scores_and_boxes(model.detect(images, confidence=0.2))
    model.confidence = Confidence(0.4, "tried")
    model.calibration = HALVED
    assert model.confidence.value == pytest.approx(float(HALVED.apply(0.4)))
    assert model.calibration == HALVED
    model.save(tmp_path / "toy.keras")
    least = float(HALVED.apply(0.2)) - 1e-6
    for each in (model, keras_ssd.load(tmp_path / "toy.keras"), keras.Model(model.inputs, model.outputs)):
        found, where = scores_and_boxes(keras_ssd.detect(each, images, confidence=least))
        for one, other, box, other_box in zip(found, scores, where, boxes, strict=True):
            np.testing.assert_allclose(one, by_log_odds(other, HALVED), rtol=1e-4)
            np.testing.assert_allclose(box, other_box, rtol=1e-4, atol=1e-3)
    decoder = keras_ssd.with_decoder(model)
    assert decoder.get_layer("detections").options.calibration == HALVED
    assert decoder.get_layer("detections").options.confidence_threshold == model.confidence.value
    assert keras_ssd.with_classes(model, CLASSES).calibration == HALVED
    model.calibration = None
    assert (model.calibration, model.decoding) == (None, {})
    assert model.confidence.value == pytest.approx(0.4)


def table_of(data, seed=0):
    """A finding of each object, and two boxes elsewhere per image with high scores."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(len(data)), 3)
    ids, boxes, scores = [], [], []
    for annotation in data:
        wrong = [[0, 0, 5, 5], [40, 20, 47, 31]]
        boxes += [annotation.boxes_xyxy[0].tolist(), *wrong]
        ids += [int(annotation.class_ids[0])] * 3
        scores += [rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.7)]
    names = tuple(annotation.name for annotation in data)
    return DetectionTable(names, CLASSES, image, np.array(ids), np.array(scores), np.array(boxes, float))


def test_values_a_model_is_calibrated_by_what_was_measured():
    model, data = toy(), squares(40)
    result = evaluate(table_of(data), data)
    done = calibrate_by(model, result)
    assert model.calibration == done.calibration
    assert done.detections == 120
    assert done.after < 0.5 * done.before
    assert "the expected calibration error falls from" in str(done)
    other = squares(40, seed=1)
    held_out = table_of(other, seed=1)
    after = dataclasses.replace(held_out, scores=model.calibration.apply(held_out.scores))
    before, after = evaluate(held_out, other), evaluate(after, other)
    assert after.map == before.map
    assert after.analysis.calibration.ece < 0.5 * before.analysis.calibration.ece


def test_rejects_what_nothing_can_be_learnt_from(monkeypatch):
    from keras_ssd.evaluation import calibrating

    model, data = toy(), squares(4)
    model.calibration = HALVED
    monkeypatch.setattr(calibrating, "calibrate_by", lambda *given: None)
    monkeypatch.setattr(calibrating, "evaluate", lambda *given, **options: evaluate(table_of(data), data))
    with pytest.raises(ValueError, match="a calibration needs true and false detections"):
        keras_ssd.calibrate(model, data)
    assert model.calibration == HALVED
    with pytest.raises(ValueError, match="ends in a decoder, whose options are set already"):
        keras_ssd.calibrate(keras_ssd.with_decoder(model), data)


def test_values_a_training_stores_the_calibration(monkeypatch, tmp_path):
    from keras_ssd.training import finishing

    data = squares(40)
    result = evaluate(table_of(data), data)
    monkeypatch.setattr(finishing, "evaluate", lambda *given, **options: result)
    toy().save(tmp_path / "plain.keras")
    _, plain = finishing.measure(tmp_path / "plain.keras", data, 8)
    toy().save(tmp_path / "toy.keras")
    model, told = finishing.measure(tmp_path / "toy.keras", data, 8, calibrate=True)
    assert plain.calibrated is None
    again = keras_ssd.load(tmp_path / "toy.keras")
    assert again.calibration == model.calibration == told.calibrated.calibration
    assert again.confidence == told.confidence
    assert told.confidence.source == f"{plain.confidence.source}, of calibrated scores"
    assert told.confidence.value == pytest.approx(model.calibration.apply(plain.point.threshold), abs=1e-3)


@pytest.mark.parametrize("output", ["tables", "detections"])
@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_values_onnx_files_report_calibrated_scores(tmp_path, images, output, scores):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = toy()
    model._decoding = {"scores": scores}
    model.calibration = HALVED
    given = keras_ssd.with_decoder(model, confidence_threshold=0.05) if output == "detections" else model
    if output == "tables":
        keras_ssd.to_onnx(given, tmp_path / "toy.onnx")  # compares with the model by itself
    else:
        keras_ssd.export(given, tmp_path / "toy.onnx")
    session = runtime.InferenceSession(tmp_path / "toy.onnx")
    assert {value.name for value in session.get_outputs()} == (
        {"boxes", "scores"} if output == "tables" else {"detections"}
    )
    pixels = np.stack([keras_ssd.images.resize_bilinear(image, model.input_size) for image in images])[:1]
    told = session.run(None, {session.get_inputs()[0].name: pixels.astype(np.float32).transpose(0, 3, 1, 2)})
    if output == "detections":
        expected = keras.ops.convert_to_numpy(given(pixels.astype(np.float32)))
        np.testing.assert_allclose(told[0][..., 1], expected[..., 1], rtol=1e-3, atol=1e-5)


def test_values_a_caffe_net_says_that_its_scores_are_not_calibrated(tmp_path):
    model = toy()
    model.confidence = Confidence(0.4)
    plain = keras_ssd.to_caffe(model, tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    model.calibration = HALVED
    told = keras_ssd.to_caffe(model, tmp_path / "b.prototxt", tmp_path / "b.caffemodel")
    assert "cannot calibrate scores" not in str(plain)
    assert "cannot calibrate scores: the net's are not calibrated, and its threshold is 0.4 instead of" in str(told)
    same = [
        [line for line in (tmp_path / f"{name}.prototxt").read_text().splitlines() if "confidence_threshold" in line]
        for name in "ab"
    ]
    assert len(same[0]) == 1
    keras_ssd.export(model, tmp_path / "c.prototxt")
    described = (tmp_path / "c.prototxt").read_text().splitlines()[0]
    assert '"temperature": 1.0' in described
    assert '"confidence": 0.4' in described.replace("0.39999", "0.4")
    np.testing.assert_allclose(*(float(lines[0].split()[-1]) for lines in same), rtol=1e-6)
