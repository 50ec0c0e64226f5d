"""Messages in the shell name options, messages in Python name arguments: a walk over wrong command lines."""

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_ssd
from keras_ssd import wording
from keras_ssd.cli.main import main

PACKAGE = Path(keras_ssd.__file__).parent
# Coordinates of a box are told as xmin=3 everywhere.
PYTHON = re.compile(r"(?!xmin|ymin|xmax|ymax)(?<![-\w/?&{'\"])[a-z_][a-z_0-9]*=(?!=)|`[a-z_]+=|=\[\.\.\.\]")
OPTION = re.compile(r"(?:^|[\s`'(])--[a-z][a-z-]+")
OTHER_PROGRAMS = re.compile(  # as one types them
    r"\b(?:fiftyone|datum) convert\b.*|--output-type fiftyone.*|\bcurl --data-binary\b", re.DOTALL
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that the wrong command lines name: an image, data, weights, and files that are none of these."""
    folder = tmp_path_factory.mktemp("wrong")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), "uint8")).save(folder / "a.png")
    (folder / "data.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.png,cat,10,10,50,50\n")
    (folder / "bad.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.png,cat,90,10,50,50\n")
    (folder / "yolo" / "labels").mkdir(parents=True)
    (folder / "yolo" / "images").mkdir()
    shutil.copy(folder / "a.png", folder / "yolo" / "images" / "a.png")
    (folder / "yolo" / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "junk.h5").write_bytes(b"junk")
    (folder / "junk.json").write_text('[{"a": 1}]')
    (folder / "junk.prototxt").write_text("layer { name: 'a' type: 'Frobnicate' top: 'a' }")
    (folder / "labels.txt").write_text("cat\ncat\n")
    (folder / "background.txt").write_text("cat\nbackground\n")
    model = keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 64))
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    return folder


LINES = """
detect a.png -w nothing
detect a.png -w ssd7.coco
detect a.png -w junk.h5
detect a.png -w nowhere.keras
detect a.png -w m.keras --model ssd30
detect a.png -w m.keras --class-names voc
detect a.png -w m.keras --class-names labels.txt
detect a.png -w m.keras --class-names background.txt
detect a.png -w m.keras --class-names vox
detect a.png -w m.keras --classes bird
detect a.png -w m.keras --confidence 7
detect a.png -w m.keras --iou-threshold 2
detect a.png -w m.keras --batch-size 0
detect a.png -w m.keras --max-pixels 5
detect a.png -w m.keras --format json
detect nowhere.png -w m.keras
detect m.keras -w m.keras
detect a.png -w m.weights.h5
detect a.png -w m.weights.h5 --model ssd300
detect a.png -w imagenet
train data.csv --out runs --model ssd30
train data.csv --out runs --weights nothing
train data.csv --out runs --weights junk.h5
train data.csv --out runs --weights m.keras --anchors voc
train data.csv --out runs --weights m.keras --input-size 64x64
train data.csv --out runs --classes bird
train data.csv --out runs --classes cat,cat
train data.csv --out runs --anchors nonsense
train data.csv --out runs --input-size 3x3
train data.csv --out runs --augment nonsense
train data.csv --out runs --recipe nonsense
train data.csv --out runs --validation-set nonsense
train data.csv --out runs --split nonsense
train data.csv --out runs --freeze nonsense
train data.csv --out runs --model ssd7 --anchors voc
train data.csv --out runs --model ssd300 --weights m.keras
train data.csv --out runs --export-float16 x.txt
train data.csv --out runs --weights m.weights.h5 --weights-classes a,b,c,d
train bad.csv --out runs
train yolo --out runs
train nowhere --out runs
evaluate data.csv
evaluate data.csv --weights nothing
evaluate data.csv --model ssd300
evaluate data.csv --model nonsense --weights coco
evaluate data.csv --detections junk.json
evaluate data.csv --detections junk.h5
evaluate data.csv --weights m.keras --classes bird
evaluate data.csv --weights m.keras --iou-threshold 0
evaluate data.csv --weights m.keras --save x.foo
evaluate data.csv --weights m.keras --class-names voc
data check nowhere
data check yolo --class-names vox
data check yolo --class-names labels.txt
data check yolo --class-names background.txt
data show data.csv --augment nonsense --out x.png
data show data.csv --anchors nonsense
data show data.csv --split nonsense
data show data.csv --out x.foo
data show bad.csv --policy error
data convert data.csv --to yolo --out out --classes bird
data convert yolo --to voc --out out
data check data.csv --csv-columns a,b
data check data.csv --first-label -4
anchors report data.csv --anchors nonsense
anchors report data.csv --model nonsense
anchors report data.csv --model ssd300 --input-size 2x2
anchors report data.csv --model mobilenet_v2 --input-size 2x2
anchors report data.csv --anchors junk.json
anchors report data.csv --input-size 300x300
anchors fit data.csv --boxes-per-cell 3,4
anchors fit data.csv --boxes-per-cell 60
anchors fit data.csv --reach 5,2
anchors show a.png --out x.png --data yolo
anchors show nowhere.png --out x.png
convert junk.prototxt --out x.keras
convert junk.prototxt m.keras --out x.keras
convert m.keras --out x.foo
convert m.keras --out x.keras --class-names a,b,c
convert m.keras --out x.keras --mean 3
convert junk.h5 --out x.keras
convert m.weights.h5 --out x.keras
zoo show nothing
zoo list --model nothing
zoo download nothing
zoo download ssd300.coco --formats nothing
zoo inspect junk.h5
zoo inspect nowhere
doctor nothing
doctor m.keras --model nonsense
doctor m.keras --class-names voc
demo --count 99
demo --out x.foo
"""


@pytest.mark.slow
def test_values_no_message_in_the_shell_names_an_argument_of_python(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KERAS_SSD_HOME", str(folder / "home"))
    leaks = []
    for line in LINES.strip().splitlines():
        try:
            code = main(line.split())
        except SystemExit as ending:
            code = ending.code
        out, err = capsys.readouterr()
        told = [part for part in (out + err).splitlines() if PYTHON.search(part)]
        leaks += [f"{line}: {part}" for part in told]
        if code not in (0, 1, 2) or "failed unexpectedly" in err:
            leaks.append(f"{line}: exit code {code}: {err}")
    assert leaks == []


def test_values_messages_of_the_library_name_no_options():
    leaks = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if parts[0] in ("cli", "wording.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        leaks += [
            f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
            and OPTION.search(OTHER_PROGRAMS.sub("", node.value)) and " " in node.value
        ]  # fmt: skip
    assert leaks == []


def test_values_a_message_in_both_tongues():
    text = (
        "`classes` must hold names, see `keep_top_k=3`, outputs=[...] and `abc`; or policy='drop'. "
        "Received: classes=('a',), top_k=3"
    )
    assert wording.told(text) == text
    with wording.as_options({"classes": "--classes", "outputs": "--outputs", "policy": "--policy"}):
        assert wording.told(text) == (
            "--classes must hold names, see keep top k, --outputs and `abc`; or --policy drop. Received: ('a',), 3"
        )
        assert wording.advice("classes", "{} sets others.") == " --classes sets others."
        assert wording.advice("anchors", "{} sets others.") == ""
    assert wording.advice("classes", "{} sets others.") == " `classes=` sets others."
