"""ONNX files under OpenCV 5, in an environment of its own: other tests need OpenCV 4, which reads Caffe nets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_nets import KINDS, randomized, tamed

import keras_ssd
from keras_ssd.exporters.onnx import to_onnx
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.inputs import PREPROCESSING, fed, input_kind

pytest.importorskip("onnx")
pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "opencv5_onnx.py"
IS_FIVE = "import cv2; assert cv2.__version__.startswith('5.'), cv2.__version__"
RUN_ALL = """
import pathlib, sys
import cv2
import numpy as np
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    try:
        net = cv2.dnn.readNetFromONNX(str(path))
        net.setInput(np.load(path.with_suffix(".npy")))
        boxes, scores = net.forward(["boxes", "scores"])
        np.savez(path.with_suffix(".npz"), boxes=boxes, scores=scores)
    except cv2.error as error:
        print(path.stem, error)
"""


def python(interpreter, *arguments):
    """A run without the packages of this environment."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(
        [str(interpreter), *map(str, arguments)], capture_output=True, text=True, timeout=600, env=clean
    )


@pytest.fixture(scope="module")
def opencv5(request):
    """An interpreter with OpenCV 5: the one that KERAS_SSD_OPENCV5_PYTHON names, or one that is made and kept."""
    named = os.environ.get("KERAS_SSD_OPENCV5_PYTHON")
    if named:
        found = python(named, "-c", IS_FIVE)
        assert found.returncode == 0, f"KERAS_SSD_OPENCV5_PYTHON={named} has no OpenCV 5: {found.stderr}"
        return named
    folder = Path(request.config.cache.mkdir("opencv5"))
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not interpreter.exists() or python(interpreter, "-c", IS_FIVE).returncode:
        made = python(sys.executable, "-m", "venv", "--clear", folder)
        if not made.returncode:
            made = python(interpreter, "-m", "pip", "install", "--quiet", "opencv-python-headless>=5", "numpy")
        if made.returncode:
            message = f"OpenCV 5 cannot be installed in an environment of its own: {made.stderr[-500:]}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
    return interpreter


def written(folder, name, model, input="bgr", image=None):
    """Writes a model's file and its input; returns the boxes and scores that Keras gives."""
    to_onnx(model, folder / f"{name}.onnx", input=input)
    detector = Detector.of(model)
    if image is None:
        size = model.inputs[0].shape[1:]
        image = np.random.default_rng(3).integers(0, 256, size).astype(np.float32)
    blob = fed(input_kind(input), lambda batch: detector.output_of(PREPROCESSING, batch), image)
    np.save(folder / f"{name}.npy", blob)
    return [results[0] for results in detector.results(image[None])]


def worst(folder, name, expected):
    """The largest difference of OpenCV's boxes and scores; of numbers beyond 1 as a share of them."""
    with np.load(folder / f"{name}.npz") as found:
        pairs = list(zip((found["boxes"], found["scores"]), expected, strict=True))
    assert [a.shape for a, _ in pairs] == [b.shape for _, b in pairs], name
    return max(float((np.abs(a - b) / np.maximum(np.abs(b), 1)).max()) for a, b in pairs)


def test_reference_every_kind_of_layer(opencv5, tmp_path):
    expected = {}
    for kind, build in KINDS.items():
        for input in ("rgb", "bgr", "blob") if kind.startswith("image") else ("bgr",):
            expected[f"{kind}-{input}"] = written(tmp_path, f"{kind}-{input}", build(), input)
    done = python(opencv5, "-c", RUN_ALL, tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    # OpenCV sums in another order than Keras; nothing here is larger than a few units.
    wrong = {name: found for name in expected if not (found := worst(tmp_path, name, expected[name])) < 2e-5}
    assert wrong == {}


def test_reference_whole_detectors(opencv5, tmp_path):
    models = {
        "ssd7": keras_ssd.ssd7(classes=["cat", "dog"], input_size=(128, 160)),
        "ssd300": keras_ssd.ssd300(classes=list("abc"), input_size=(300, 300)),
    }
    expected = {}
    for name, model in models.items():
        expected[name] = written(tmp_path, name, tamed(randomized(model)))
    done = python(opencv5, "-c", RUN_ALL, tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert {name: worst(tmp_path, name, values) < 2e-5 for name, values in expected.items()} == dict.fromkeys(
        models, True
    )


@pytest.fixture
def plate(shared):
    """Function from preprocessing to the plate detector, and its images."""
    folder = shared("weights", "plate_ssd512")
    files = folder / "mininet_ssd_v1.prototxt", folder / "mininet_ssd_v1.caffemodel"
    return (
        lambda **preprocessing: keras_ssd.from_caffe(*files, classes=["plate"], **preprocessing),
        [folder / "1.jpg", folder / "2.jpg"],
    )


def numbers(line):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


def test_reference_the_example_finds_what_detect_finds(opencv5, plate, tmp_path):
    build, images = plate
    model = build(mean=(123.675, 116.28, 103.53), scale=(1 / 58.395, 1 / 57.12, 1 / 57.375), channel_order="rgb")
    to_onnx(model, tmp_path / "plates.onnx", input="bgr")
    for image, found in zip(images, model.detect(images), strict=True):
        done = python(opencv5, EXAMPLE, tmp_path / "plates.onnx", image, "--size", 512)
        assert done.returncode == 0, done.stderr
        [line] = done.stdout.splitlines()
        assert line.startswith("class 0 ")
        # Both resize in whole grey levels, so little is left but the rounding of what is printed.
        np.testing.assert_allclose(numbers(line)[0], found.scores[0], atol=1e-3)
        np.testing.assert_allclose(numbers(line)[1:], found.boxes_xyxy[0], atol=0.1)


def test_values_a_blob_is_made_as_for_caffe(opencv5, plate, tmp_path):
    """The numbers of blobFromImage do outside what the other file does inside."""
    build, images = plate
    model = build(mean=(104, 117, 123), scale=0.017)  # not what it was trained with, but one factor for all
    found = {}
    for input, preparation in (("bgr", ()), ("blob", ("--mean", 104, 117, 123, "--scale", 0.017))):
        to_onnx(model, tmp_path / f"{input}.onnx", input=input)
        options = ("--size", 512, *preparation, "--confidence", 0.05)
        done = python(opencv5, EXAMPLE, tmp_path / f"{input}.onnx", images[0], *options)
        assert done.returncode == 0, done.stderr
        found[input] = [numbers(line) for line in done.stdout.splitlines()]
    assert len(found["bgr"]) > 0
    np.testing.assert_allclose(found["blob"], found["bgr"], atol=0.11)
