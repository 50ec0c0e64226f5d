"""The door to every format: options, the description in the file, the comparison, and what is left on the disk."""

import dataclasses
import errno
import json

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.decoding import DecodeOptions
from keras_ssd.exporting import ParityError, checking
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.formats import FORMATS, caffe_net, keras_file, openvino_file, saved_model
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.parity import Candidates, Tolerance, compare
from keras_ssd.file_metadata import FileMetadata

EXACT = Tolerance(1e-4, 1e-3)
TOLD = FileMetadata(("cat", "Käfer"), (64, 96), "bgr", mean=(104.0, 117.0, 123.0), scale=(1.0, 1.0, 1.0), batch=3)
EMPTY = [-1, 0, 0, 0, 0, 0]


def rows(*given, room=4):
    return np.array([*given, *[EMPTY] * (room - len(given))], np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return tiny_ssd()


def test_roundtrip_a_description_in_json_and_in_properties():
    assert FileMetadata.from_json(TOLD.to_json()) == TOLD
    assert FileMetadata.from_properties(TOLD.to_properties()) == TOLD
    assert TOLD.to_properties()["class_names"] == '["cat", "Käfer"]'
    assert FileMetadata.from_properties({"class_names": "cat"}) is None
    later = json.dumps({**TOLD.to_dict(), "invented": 1, "decoding": {"iou_threshold": 0.3, "invented": 1}})
    assert FileMetadata.from_json(later) == dataclasses.replace(TOLD, decoding={"iou_threshold": 0.3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": [0, 3]}, "wrong `input_size`"),
        ({"input_size": [3]}, "wrong `input_size`"),
        ({"class_names": "cat"}, "wrong `class_names`"),
        ({"class_names": None}, "lacks `class_names`"),
        ({"output": "pixels"}, "wrong `output`"),
        ({"batch": 0}, "wrong `batch`"),
        ({"confidence": 2}, "wrong `confidence`"),
        ({"decoding": 3}, "wrong `decoding`"),
        ({"decoding": {"iou_threshold": 7}}, "must be between 0 and 1"),
        ({"mean": ["a"]}, "wrong `mean`"),
    ],
)
def test_rejects_a_foreign_description(change, message):
    with pytest.raises(ValueError, match=message):
        FileMetadata.from_json(json.dumps({**TOLD.to_dict(), **change}))


def test_values_equal_scores_may_stand_in_another_order():
    a = rows([0, 0.9, 0, 0, 1, 1], [1, 0.9, 0, 0, 0.5, 0.5])
    same = compare([a], [a[[1, 0, 2, 3]]], "x", EXACT)
    assert (same.expected, same.found, same.matched, same.scores, same.boxes) == (2, 2, 2, 0.0, 0.0)
    assert same.holds


@pytest.mark.parametrize(
    ("other", "scores", "boxes", "matched"),
    [
        (rows([0, 0.9002, 0, 0, 1, 1]), 2e-4, 0.0, 1),
        (rows([0, 0.9, 0, 0, 1, 1.002]), 0.0, 2e-3, 1),
        (rows([1, 0.9, 0, 0, 1, 1]), 0.0, 0.0, 0),
        (rows(), 0.0, 0.0, 0),
        (rows([0, 0.9, 0, 0, 1, 1], [0, 0.5, 2, 2, 3, 3]), 0.0, 0.0, 1),
    ],
)
def test_values_differences_are_found(other, scores, boxes, matched):
    found = compare([rows([0, 0.9, 0, 0, 1, 1])], [other], "x", EXACT)
    assert not found.holds
    assert found.matched == matched
    assert (found.scores, found.boxes) == pytest.approx((scores, boxes), abs=1e-6)


def test_values_rows_at_the_threshold_and_at_the_end_of_a_full_list_are_left_to_rounding():
    a, b = rows([0, 0.9, 0, 0, 1, 1], [0, 0.30005, 2, 2, 3, 3]), rows([0, 0.9, 0, 0, 1, 1])
    assert compare([a], [b], "x", EXACT, floor=0.3).holds
    assert not compare([a], [b], "x", EXACT, floor=0.1).holds
    full = rows([0, 0.9, 0, 0, 1, 1], [0, 0.3, 2, 2, 3, 3], room=2)
    other = rows([0, 0.9, 0, 0, 1, 1], [0, 0.3, 4, 4, 5, 5], room=2)
    assert compare([full], [other], "x", EXACT, floor=0.1).holds


def test_values_of_boxes_of_equal_score_either_may_win():
    ours, theirs = rows([1, 0.4, 0, 0, 1, 1]), rows([1, 0.4, 0, 0, 1, 0.8])
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.8], [0, 0, 1, 0.7]], np.float32)
    scores = np.array([[0, 0.4], [0, 0.4], [0, 0.3]], np.float32)
    assert compare([ours], [theirs], "x", EXACT).boxes == pytest.approx(0.2)
    candidates = Candidates(boxes, scores, DecodeOptions())
    assert compare([ours], [theirs], "x", EXACT, candidates=lambda place: candidates).holds
    worse = rows([1, 0.4, 0, 0, 1, 0.7])  # the box of another score
    assert not compare([ours], [worse], "x", EXACT, candidates=lambda place: candidates).holds


@pytest.mark.parametrize("suppression", [True, False])
def test_values_a_keras_file_answers_as_the_model(model, tmp_path, suppression):
    done = keras_ssd.export(model, tmp_path / "mine.keras", suppression=suppression)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.keras"]
    assert done.files == (tmp_path / "mine.keras",)
    assert done.size == (tmp_path / "mine.keras").stat().st_size
    assert done.parity.holds
    assert done.parity.matched == done.parity.expected > 10
    assert keras_ssd.load(tmp_path / "mine.keras").has_decoder is suppression
    assert done.metadata.class_names == model.class_names
    assert done.metadata.input_size == model.input_size


class Shifted:
    """A runtime that moves each box."""

    runtime, batch = "shifted 1.0", 3

    def __init__(self, path):
        self.inner = keras_file._Saved(path)

    def rows(self, images):
        assert len(images) == 3
        return self.inner.rows(images) + np.float32([0, 0, 0.01, 0, 0, 0])


def test_rejects_a_file_that_answers_otherwise_and_keeps_it_under_another_name(model, tmp_path, monkeypatch):
    (tmp_path / "mine.keras").write_bytes(b"before")
    monkeypatch.setattr(keras_file, "open_file", lambda path, metadata: Shifted(path))
    with pytest.raises(ParityError, match="does not answer as the model does") as caught:
        keras_ssd.export(model, tmp_path / "mine.keras")
    assert (tmp_path / "mine.keras").read_bytes() == b"before"
    assert caught.value.exported.path == tmp_path / "mine.differs.keras"
    assert caught.value.exported.parity.boxes == pytest.approx(0.01, abs=1e-5)
    assert "shifted 1.0, 4 images" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.differs.keras", "mine.keras"]


def test_rejects_a_full_disk_and_leaves_the_old_file(model, tmp_path, monkeypatch):
    def full(model, path, options):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "mine.keras").write_bytes(b"before")
    monkeypatch.setattr(keras_file, "write", full)
    with pytest.raises(OSError, match="nothing was written, and what was there before stays"):
        keras_ssd.export(model, tmp_path / "mine.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.keras"]
    assert (tmp_path / "mine.keras").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mine.kears", {}, "The ending of `path` tells no format"),
        ("mine.onnx", {"format": "keras"}, "A file of the format keras must end in .keras"),
        ("mine.keras", {"format": "kears"}, "Did you mean 'keras'"),
        ("mine.keras", {"precision": "int8"}, "The format keras knows `precision` float32"),
        ("mine.keras", {"precision": "int"}, "Unknown precision 'int'"),
        ("mine.keras", {"suppression": "no"}, "`suppression` must be True, False or 'tensorrt'"),
        ("mine.keras", {"batch": 0}, "`batch` must be a positive integer"),
        ("mine.keras", {"channels": "grb"}, "Unknown order of channels 'grb'"),
        ("missing/mine.keras", {}, "There is no folder"),
    ],
)
def test_rejects_wrong_options(model, tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        keras_ssd.export(model, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_rejects_what_is_no_detector(tmp_path):
    with pytest.raises(TypeError, match="must be a keras_ssd model"):
        keras_ssd.export(object(), tmp_path / "mine.keras")


def test_values_a_blob_is_described_by_mean_and_scale():
    told = description_of(keras_ssd.ssd7(classes=["cat"], input_size=(64, 64)), ExportOptions(channels="blob"))
    assert (told.channels, len(told.mean), len(told.scale)) == ("bgr", 3, 3)
    assert told.mean == pytest.approx((127.5, 127.5, 127.5))
    assert told.scale == pytest.approx((1 / 127.5,) * 3)


def test_values_each_format_has_a_module_with_both_functions():
    for row in FORMATS.values():
        assert callable(row.load().write)
        assert callable(row.load().open_file)


def test_values_batches_are_filled_and_cut():
    class Counting:
        runtime, batch = "x", 3

        def rows(self, images):
            return images[:, 0, 0, :1, None] * np.ones((1, 2, 6))

    images = np.arange(4.0)[:, None, None, None] * np.ones((1, 2, 2, 3))
    assert checking.rows_in_batches(Counting(), images)[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_values_each_module_of_a_format_is_in_the_table():
    modules = {row.load() for row in FORMATS.values()}
    assert {keras_file, saved_model, caffe_net, openvino_file} <= modules


@pytest.mark.parametrize(("channels", "inside"), [("rgb", True), ("blob", False)])
def test_values_a_caffe_net_with_its_description(tmp_path, channels, inside):
    net = keras_ssd.ssd7(classes=["cat"], input_size=(64, 64))
    done = keras_ssd.export(net, tmp_path / "mine.prototxt", channels=channels)
    assert done.files == (tmp_path / "mine.prototxt", tmp_path / "mine.caffemodel")
    first = (tmp_path / "mine.prototxt").read_text().splitlines()[0]
    assert FileMetadata.from_json(first.removeprefix("# keras_ssd: ")) == done.metadata
    assert (done.metadata.mean is None) is inside
    assert done.parity is None
    assert "OpenCV 4 reads it" in str(done)
    back = keras_ssd.from_caffe(tmp_path / "mine.prototxt", tmp_path / "mine.caffemodel")
    assert back.num_classes == 1


def test_rejects_a_saved_model_where_keras_cannot_write_one(model, tmp_path):
    if keras.config.backend() != "torch":
        pytest.skip("the other backends write it")
    with pytest.raises(ValueError, match="Set KERAS_BACKEND=tensorflow"):
        keras_ssd.export(model, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("suppression", "batch"), [(True, None), (False, 3)])
def test_values_a_saved_model_answers_as_the_model(model, tmp_path, suppression, batch):
    if keras.config.backend() != "tensorflow":
        pytest.skip("TensorFlow's own format")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "old.pb").write_bytes(b"before")
    done = keras_ssd.export(model, tmp_path / "mine", suppression=suppression, batch=batch)
    assert done.parity.holds
    assert done.parity.matched > 10
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not (tmp_path / "mine" / "old.pb").exists()
    told = (tmp_path / "mine" / "assets.extra" / "keras_ssd.json").read_text(encoding="utf-8")
    assert FileMetadata.from_json(told) == done.metadata
