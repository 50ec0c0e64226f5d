"""Parity where scores are tied: rounding may change what suppression keeps, and a wrong number is still found."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.decoding import DecodeOptions
from keras_ssd.decoding.arrays import detection_rows_arrays
from keras_ssd.exporters.tied import Candidates
from keras_ssd.exporting import ParityError
from keras_ssd.exporting.parity import Tolerance, compare

EXACT = Tolerance(1e-4, 1e-3)
RULES = [
    DecodeOptions(),
    DecodeOptions(class_agnostic=True, keep_top_k=30),
    DecodeOptions(max_per_class=6, keep_top_k=None, clip_boxes=True),
    DecodeOptions(top_k=40, keep_top_k=10),
]


def tied(options, seed=0):
    """300 boxes that overlap much, with scores of two classes and the background that differ in the last bits."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-0.1, 0.7, (300, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.4, (300, 2)).astype(np.float32)], axis=1)
    return Candidates(boxes, scores_of(seed), options, np.full(300, 0.2, np.float32))


def scores_of(seed):
    rng = np.random.default_rng(seed)
    return (0.4 + rng.uniform(-5e-7, 5e-7, (300, 2))).astype(np.float32)


def rows_of(candidates, scores=None, boxes=None, options=None):
    """What suppression makes of them, or of other numbers."""
    scores = candidates.scores if scores is None else scores
    background = np.full((len(scores), 1), 0.2, np.float32)
    boxes = candidates.boxes_xyxy if boxes is None else boxes
    return detection_rows_arrays(np.concatenate([background, scores], axis=1), boxes, options or candidates.options)


def parity(candidates, rows, told=True):
    asked = (lambda place: candidates) if told else None
    return compare([rows_of(candidates)], [rows], "x", EXACT, candidates.options.floor, asked)


@pytest.fixture(params=RULES, ids=["plain", "class_agnostic", "max_per_class", "top_k"])
def candidates(request):
    return tied(request.param)


def test_values_other_last_bits_are_no_difference(candidates):
    for seed in range(1, 4):
        rows = rows_of(candidates, scores_of(seed))
        assert parity(candidates, rows).holds
    assert not parity(candidates, rows, told=False).holds


def changed(rows, place, column, by):
    rows = rows.copy()
    rows[place, column] += by
    return rows


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rows: changed(rows, 1, 1, 3e-4),
        lambda rows: changed(rows, 2, 4, 4e-3),
        lambda rows: np.where(rows[:, :1] == 1, np.float32([-1, 0, 0, 0, 0, 0]), rows)[np.argsort(rows[:, 0])],
        lambda rows: np.concatenate([rows[:1], rows[:-1]]),
        lambda rows: np.concatenate([rows[:3], rows[4:], rows[-1:]]),
        lambda rows: np.concatenate([rows[:1] * 0 + 5, rows[1:]]),
    ],
    ids=["score", "box", "lost class", "twice", "lost row", "unknown class"],
)
def test_rejects_a_wrong_number_among_ties(wrong):
    candidates = tied(DecodeOptions(keep_top_k=None))
    rows = rows_of(candidates, scores_of(1))
    assert 20 < (rows[:, 0] >= 0).sum() < len(rows)
    assert parity(candidates, rows).holds
    assert not parity(candidates, wrong(rows)).holds


@pytest.mark.parametrize("change", [{"iou_threshold": 0.6}, {"iou_threshold": 0.3}, {"max_per_class": 3}])
def test_rejects_other_suppression_among_ties(change):
    candidates = tied(DecodeOptions(keep_top_k=None))
    rows = rows_of(candidates, scores_of(1), options=dataclasses.replace(candidates.options, **change))
    assert not parity(candidates, rows).holds


def test_values_boxes_without_area_and_without_end():
    """They overlap nothing, not even themselves, and all of them are kept."""
    boxes = np.float32([[0.2, 0.2, 0.2, 0.4], [0, 0, np.inf, np.inf], [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.51]])
    scores = np.float32([[0.4], [0.4], [0.4], [0.4000001]])
    candidates = Candidates(boxes, scores, DecodeOptions())
    with np.errstate(invalid="ignore"):
        ours = rows_of(candidates)
        theirs = rows_of(candidates, scores[::-1])
        assert (ours[:, 0] >= 0).sum() == 3
        assert parity(candidates, theirs).holds
        assert not parity(candidates, np.concatenate([theirs[1:], theirs[-1:]])).holds


@pytest.fixture(scope="module")
def untrained():
    """A detector whose scores are equal but for the last bits."""
    keras.utils.set_random_seed(0)
    model = tiny_ssd()
    for layer in model.layers:
        if layer.name.endswith("_mbox_conf"):
            layer.kernel.assign(layer.kernel * 1e-6)
    return model


def formats():
    tflite = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="elsewhere another process converts")
    return ["onnx", "xml", "keras", pytest.param("tflite", marks=tflite)]


@pytest.mark.numerical
@pytest.mark.parametrize("ending", formats())
def test_values_an_untrained_model_passes(untrained, tmp_path, ending):
    for package in {"onnx": ["onnxruntime", "onnx"], "xml": ["openvino", "onnx"], "tflite": ["ai_edge_litert"]}.get(
        ending, ()
    ):
        pytest.importorskip(package)
    exported = keras_ssd.export(untrained, tmp_path / f"mine.{ending}")
    assert exported.parity.holds
    assert exported.parity.matched > 100


def test_rejects_other_weights_of_an_untrained_model(untrained, tmp_path, monkeypatch):
    """The scores are those of the model, one box is another."""
    from keras_ssd.exporting.formats import keras_file

    write = keras_file.write

    def with_other_weights(model, path, options):
        head = next(layer for layer in model.layers if layer.name.endswith("_mbox_loc"))
        kept = head.get_weights()
        try:
            head.set_weights([kept[0], kept[1] + np.float32([0.2, 0, 0, 0] * (len(kept[1]) // 4))])
            return write(model, path, options)
        finally:
            head.set_weights(kept)

    monkeypatch.setattr(keras_file, "write", with_other_weights)
    with pytest.raises(ParityError, match="does not answer as the model does"):
        keras_ssd.export(untrained, tmp_path / "mine.keras", suppression=False)
