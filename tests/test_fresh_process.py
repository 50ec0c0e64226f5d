"""What another process needs to open a saved model: the import of keras_ssd alone, or the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image
from tiny_models import tiny_ssd

import keras_ssd

pytestmark = pytest.mark.numerical
PACKAGE = Path(keras_ssd.__file__).parent
REGISTERED = re.compile(r"@keras\.saving\.register_keras_serializable\(.*\)\n(?:@.*\n)*(?:class|def) (\w+)")
OPENS = """
import json, sys
import keras, keras_ssd
classes = list(keras.saving.get_custom_objects())
opened = [open(sys.argv[1]) for open in (keras.saving.load_model, keras_ssd.load, keras_ssd.open_model)]
print(json.dumps({"classes": classes, "losses": [[type(m).__name__, type(m.loss).__name__] for m in opened]}))
"""


def process(text, *arguments):
    """What a process prints, in which nothing of keras_ssd was used yet."""
    options = {"capture_output": True, "text": True, "timeout": 300}
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"KERAS_BACKEND": keras.backend.backend(), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *text, *map(str, arguments)], env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A model file with this package's loss, metric and optimizer in it."""
    model = tiny_ssd()
    optimizer = keras_ssd.recipes.modern(10)
    model.compile(optimizer, loss=keras_ssd.SSDLoss(), metrics=[keras_ssd.SSDLossMetric(keras_ssd.SSDLoss())])
    optimizer.build(model.trainable_variables)
    path = tmp_path_factory.mktemp("compiled") / "compiled.keras"
    model.save(path)
    return path


def test_roundtrip_of_a_compiled_model_in_a_new_process(compiled):
    said = json.loads(process(["-c", OPENS], compiled).splitlines()[-1])
    assert said["losses"] == [["SSD", "SSDLoss"]] * 3
    registered = {name for path in PACKAGE.rglob("*.py") for name in REGISTERED.findall(path.read_text("utf-8"))}
    assert {"SSD", "SSDLoss", "SSDLossMetric", "CaffeSGD", "AveragingAdamW", "AnchorBoxes", "Power"} <= registered
    assert registered <= {name.split(">")[-1] for name in said["classes"]}


def test_roundtrip_of_a_compiled_model_through_the_command(compiled, tmp_path):
    image = tmp_path / "black.png"
    Image.new("RGB", (56, 40)).save(image)
    process(["-m", "keras_ssd", "detect"], image, "-w", compiled, "--out", tmp_path / "found", "--format", "json")
    (found,) = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert found["class_names"] == list(keras_ssd.load(compiled).class_names)
