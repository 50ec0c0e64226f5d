"""Files of TensorFlow Lite on several threads: its suppression loses a class there, and the files are written so that
it is none of the detector's."""

import importlib.util
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from test_tflite_writing import NEEDED, compared, two_levels, written
from tiny_models import tiny_backbone

import keras_ssd
from keras_ssd.decoding import DecodeOptions
from keras_ssd.engines.files import FileDetector
from keras_ssd.exporting.models import decoded, rows_of
from keras_ssd.exporting.tflite import suppression
from keras_ssd.exporting.tflite.metadata import DESCRIPTION, LABELS, with_files
from keras_ssd.file_metadata import FileMetadata

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow" or not all(importlib.util.find_spec(name) for name in NEEDED),
    reason=f"writing TensorFlow Lite here needs {', '.join(NEEDED)} and Keras on TensorFlow",
)
NAMES = ("cat", "dog", "newt", "owl", "emu", "yak")
IMAGES = np.random.default_rng(5).integers(0, 256, (2, 40, 56, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """A detector that finds each of its six classes."""
    keras.utils.set_random_seed(0)
    made = keras_ssd.ssd(tiny_backbone(), ["fine", "coarse"], NAMES, two_levels(), preprocessing="tf")
    for layer in made.layers:
        if layer.name.endswith("_mbox_conf"):
            layer.kernel.assign(10 * layer.kernel)
    return made


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "mine.tflite"
    written(keras_ssd.with_decoder(model, confidence_threshold=0.1), path)
    return path


def as_an_app(path, threads, dtype=np.float32):
    """{output: values} of the first image, in LiteRT itself."""
    from ai_edge_litert.interpreter import Interpreter

    runs = Interpreter(model_content=path.read_bytes(), num_threads=threads)
    return runs.get_signature_runner()(images=IMAGES[:1].astype(dtype))


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 8, 32])
def test_reference_no_class_is_lost_on_threads(path, model, threads):
    """An app gets the model's own class ids on any number of threads."""
    [expected] = rows_of(decoded(keras_ssd.with_decoder(model, confidence_threshold=0.1)), IMAGES[:1])
    found = as_an_app(path, threads)
    count = int(found["num_detections"][0])
    assert count == (expected[:, 0] >= 0).sum()
    assert set(expected[:count, 0]) == set(range(6))
    order, same = (np.lexsort((x[:, 2], -x[:, 1].round(4))) for x in (expected[:count], table_of(found)[:count]))
    np.testing.assert_allclose(table_of(found)[:count][same], expected[:count][order], atol=1e-4)


def table_of(found):
    boxes = found["detection_boxes"][0][:, [1, 0, 3, 2]]
    return np.column_stack([found["detection_classes"][0], found["detection_scores"][0], boxes])


@pytest.mark.parametrize("threads", [2, 4])
def test_values_this_package_uses_the_threads(path, model, threads, monkeypatch):
    assert compared(
        keras_ssd.with_decoder(model, confidence_threshold=0.1), runner_on(monkeypatch, threads, path)
    ).holds
    assert FileDetector(path).metadata.threads == 32


def runner_on(monkeypatch, threads, path):
    from keras_ssd.exporting.formats import tflite

    monkeypatch.setattr("os.cpu_count", lambda: threads)
    return tflite.open_file(path, None)


def test_values_int8_loses_no_class_on_threads(model, tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    detector, path = keras_ssd.with_decoder(model, confidence_threshold=0.1), tmp_path / "int8.tflite"
    written(detector, path, precision="int8", calibrate=list(IMAGES.astype(np.uint8)))
    alone, found = (table_of(as_an_app(path, threads, np.uint8)) for threads in (1, 2))
    assert set(alone[:, 0]) == set(range(6))
    assert np.bincount(found[:, 0].astype(int)).tolist() == np.bincount(alone[:, 0].astype(int)).tolist()


def test_values_labels_are_the_models(path):
    """Classes have the model's numbers in the file, so that its list of labels needs no place for the unused ones."""
    with zipfile.ZipFile(path) as archive:
        assert archive.read(LABELS).decode().split() == list(NAMES)


def test_values_older_files_run_on_one_thread(model, tmp_path, monkeypatch):
    """Files without unused columns, and without a word of threads in their description."""
    from ai_edge_litert import interpreter

    monkeypatch.setattr(suppression, "MOST_THREADS", 1)
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.1)
    told, _ = written(detector, tmp_path / "new.tflite")
    with zipfile.ZipFile(tmp_path / "new.tflite") as archive:
        network = (tmp_path / "new.tflite").read_bytes()[: archive.infolist()[0].header_offset]
    older = replace(told.metadata, threads=None)
    (tmp_path / "older.tflite").write_bytes(with_files(network, older))
    assert set(table_of(as_an_app(tmp_path / "older.tflite", 2))[:, 0]) == {0, 1, 3, 4, 5}  # what is mended here
    asked, made = [], interpreter.Interpreter

    def seen(**options):
        asked.append(options["num_threads"])
        return made(**options)

    monkeypatch.setattr(interpreter, "Interpreter", seen)
    assert compared(detector, runner_on(monkeypatch, 2, tmp_path / "older.tflite")).holds
    assert asked == [1]
    (tmp_path / "lies.tflite").write_bytes(with_files(network, replace(older, threads="many")))
    with pytest.raises(ValueError, match="wrong `threads`"):
        FileDetector(tmp_path / "lies.tflite")
    assert asked == [1, 1]


def test_reference_fewer_boxes_of_a_class_than_rows(model, tmp_path, monkeypatch):
    """On threads the operation writes behind its list there, unless it is made long enough."""
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.05, max_per_class=7, keep_top_k=12, clip_boxes=True)
    path = tmp_path / "mine.tflite"
    written(detector, path)
    for threads in (1, 3):
        parity = compared(detector, runner_on(monkeypatch, threads, path))
        assert parity.holds, parity
    assert parity.expected == 36
    found = as_an_app(path, 3)
    assert found["detection_boxes"].shape == (1, 12, 4)
    assert found["num_detections"].tolist() == [12.0]


@pytest.mark.parametrize(
    ("options", "classes", "settings"),
    [
        ({}, 20, (200, 400, 51, 31)),
        ({}, 2, (200, 400, 2, 0)),
        ({"class_agnostic": True}, 20, (200, 400, 20, 0)),
        ({"top_k": 100}, 20, (200, 200, 51, 31)),
        ({"max_per_class": 100}, 20, (1900, 100, 51, 31)),
        ({"max_per_class": 100}, 3, (200, 100, 34, 31)),
    ],
)
def test_values_room_on_threads(options, classes, settings):
    """(rows, boxes of a class, columns, unused ones): the first two together hold whatever two threads find."""
    post = suppression.post_process_of(DecodeOptions(**options), keras_ssd.anchors.named_spec("ssd300_voc"), classes)
    names = ("max_detections", "detections_per_class", "num_classes")
    assert (*(post.settings[name] for name in names), post.unused) == settings
    assert post.rows == 200
    assert post.threads == 32


def test_roundtrip_threads_in_the_description():
    told = FileMetadata(("cat",), (4, 5), threads=32)
    assert FileMetadata.from_json(told.to_json()).threads == 32
    assert FileMetadata.from_json(replace(told, threads=None).to_json()).threads is None
    assert DESCRIPTION == "keras_ssd.json"
