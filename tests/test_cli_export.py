"""`keras-ssd export`, as a user types it."""

import json

import keras
import numpy as np
import pytest
from onnx_nets import randomized, tamed
from PIL import Image

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.exporting.formats import onnx_file
from keras_ssd.file_metadata import FileMetadata

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model, two images, and the same with annotations."""
    folder = tmp_path_factory.mktemp("export")
    keras.utils.set_random_seed(0)
    model = tamed(randomized(keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 96))))
    model.save(folder / "mine.keras")
    (folder / "photos").mkdir()
    (folder / "coco").mkdir()
    rng = np.random.default_rng(0)
    told = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}
    for number in (1, 2):
        image = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
        image.save(folder / "photos" / f"{number}.png")
        image.save(folder / "coco" / f"{number}.png")
        told["images"].append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 60})
        box = {"bbox": [8, 6, 30, 40], "area": 1200, "iscrowd": 0}
        told["annotations"].append({"id": number, "image_id": number, "category_id": number, **box})
    (folder / "coco" / "labels.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    yield folder
    for path in folder.glob("out*"):
        path.unlink()


def test_values_a_file_and_what_is_told_of_it(here, capsys):
    assert (
        main(["export", "mine.keras", "--format", "onnx", "--out", "out.onnx", "--batch", "2", "--licence", "MIT"]) == 0
    )
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"out.onnx: {(here / 'out.onnx').stat().st_size / 1e6:.1f} MB"
    assert second.startswith("onnxruntime ")
    assert ", 4 images: " in second
    assert "detections matched" in second
    said = {entry.key: entry.value for entry in onnx.load("out.onnx").metadata_props}
    told = FileMetadata.from_properties(said)
    assert (told.batch, told.licence, told.class_names) == (2, "MIT", ("cat", "dog"))


def test_values_checked_on_images_and_on_annotated_data(here, capsys):
    assert main(["export", "mine.keras", "-o", "out.onnx", "--check", "photos"]) == 0
    printed = capsys.readouterr().out
    assert ", 2 images: " in printed
    assert "AP of" not in printed
    assert main(["export", "mine.keras", "-o", "out.onnx", "--check", "coco", "--no-suppression"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("AP of the model 0.")
    before, after = (float(part.split()[-1]) for part in last.split(", of the file "))
    assert before == after


class Weaker:
    """A runtime that loses a part of each score."""

    def __init__(self, path, metadata):
        self.inner = onnx_file._Session(path, metadata)
        self.runtime, self.batch = "weaker 1.0", self.inner.batch

    def rows(self, images):
        return self.inner.rows(images) * np.float32([1, 0.99, 1, 1, 1, 1])


def test_rejects_a_file_that_answers_otherwise(here, capsys, monkeypatch):
    monkeypatch.setattr(onnx_file, "open_file", Weaker)
    assert main(["export", "mine.keras", "-o", "out.onnx"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "keras-ssd export: The file does not answer as the model does. It was kept as out.differs.onnx" in told.err
    assert "weaker 1.0" in told.err
    assert sorted(path.name for path in here.glob("out*")) == ["out.differs.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mine.keras", "-o", "out.onx"], "The ending of --out tells no format; known are .onnx"),
        (["mine.keras", "-o", "out.xml", "--format", "onnx"], "A file of the format onnx must end in .onnx"),
        (["mine.keras", "-o", "mine.keras"], "--out would overwrite mine.keras"),
        (["mine.keras", "-o", "nowhere/out.onnx"], "There is no folder nowhere"),
        (["mine.keras", "-o", "out.keras", "--float16"], "The format keras knows --precision float32"),
        (["mine.keras", "-o", "out.xml", "--suppression", "tensorrt"], "The format openvino knows --suppression"),
        (["mine.keras", "-o", "out.onnx", "--split", "val"], "--split is for annotated data"),
        (["mine.kears", "-o", "out.onnx"], "mine.keras"),
        (["mine.keras", "-o", "out.onnx", "--check", "missing.png"], "missing.png"),
    ],
)
def test_rejects_with_one_line_and_writes_nothing(here, capsys, words, message):
    before = sorted(path.name for path in here.iterdir())
    assert main(["export", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("keras-ssd export: ")
    assert message in told
    assert sorted(path.name for path in here.iterdir()) == before


def test_rejects_a_wrong_kind_of_suppression(here, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", "mine.keras", "-o", "out.onnx", "--suppression", "nose"])
    assert ended.value.code == 2
    assert "Unknown kind of suppression 'nose'. Did you mean 'none'?" in capsys.readouterr().err
