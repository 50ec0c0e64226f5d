"""One limit for feature maps, in every way to a model: files, factories, and the shell."""

import re
from argparse import Namespace

import keras
import numpy as np
import pytest
from caffe_nets import net_of, random_weights
from foreign_files import random_arrays, ssd_shapes, thinned, write_keras_h5
from PIL import Image
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.caffe.files import format_prototxt, parse_prototxt
from keras_ssd.cli.main import _told, main, make_parser
from keras_ssd.map_limits import MAX_MAP_BYTES


@pytest.mark.parametrize("pad", [4294967295, 100000])
def test_rejects_a_pad_that_asks_for_gigabytes(pad):
    text = format_prototxt(small_net())
    assert "pad: 1" in text
    net = parse_prototxt(text.replace("pad: 1", f"pad: {pad}", 1))
    with pytest.raises(ValueError, match=r"Layer 'a' \(Convolution\).*bytes an image.*map_limit"):
        keras_ssd.from_caffe(net, mean=0)


def test_rejects_a_net_for_huge_images():
    text = re.sub(r"dim: (24|32)\b", "dim: 20000", format_prototxt(small_net()))
    for net, options in ((parse_prototxt(text), {}), (small_net(), {"input_size": (20000, 20000)})):
        with pytest.raises(ValueError, match="An input of 20000x20000 would make a map"):
            keras_ssd.from_caffe(net, mean=0, **options)


@pytest.mark.parametrize("factory", ["ssd300", "ssd512", "ssd7", "ssd_small"])
def test_rejects_factories_with_huge_inputs(factory):
    with pytest.raises(ValueError, match=r"An input of 20000x20000 would make a map"):
        getattr(keras_ssd, factory)(classes=["a"], input_size=(20000, 20000))


def test_rejects_a_saved_model_beyond_the_limit_and_an_argument_raises_it(tmp_path):
    model = keras_ssd.ssd7(classes=["a"], input_size=(64, 64))
    model.save(tmp_path / "m.keras")
    with keras_ssd.map_limit(1000), pytest.raises(ValueError, match="at most 1,000 are built"):
        keras_ssd.load(tmp_path / "m.keras")
    assert keras_ssd.load(tmp_path / "m.keras").input_size == (64, 64)
    net = random_weights(net_of(format_prototxt(small_net())))
    with pytest.raises(ValueError, match="at most 1,000"):
        keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=1000)
    with pytest.raises(ValueError, match="`max_map_bytes` must be a whole number"):
        keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=0)
    large = keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=4 * MAX_MAP_BYTES)
    assert keras.ops.convert_to_numpy(large(np.zeros((1, 24, 32, 3), np.float32))).shape == (1, 720, 16)


def opened_files(folder):
    """{format: file} of detectors in formats that tell their network."""
    tflite_nets = pytest.importorskip("tflite_nets")
    arrays = random_arrays(thinned(ssd_shapes("ssd300", 20), most=4))
    write_keras_h5(folder / "ssd300.h5", arrays)
    tflite_nets.ssd_mobilenet("float32", channels=4).write(folder / "m.tflite")
    model = keras_ssd.ssd7(classes=["a"], input_size=(64, 64))
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    return {"ssd_keras": "ssd300.h5", "tflite": "m.tflite", "keras": "m.keras", "weights": "m.weights.h5"}


def test_rejects_maps_beyond_the_limit_in_every_format_and_arguments_raise_it(tmp_path):
    for name in opened_files(tmp_path).values():
        with pytest.raises(ValueError, match=r"at most 1,000 are built\. Is a size or a pad wrong\?"):
            keras_ssd.open_model(tmp_path / name, max_map_bytes=1000)
    with pytest.raises(ValueError, match="`max_map_bytes` must be a whole number"):
        keras_ssd.open_model(tmp_path / "m.keras", max_map_bytes=0.5)
    with pytest.raises(ValueError, match="`max_map_bytes` must be a whole number"):
        keras_ssd.load(tmp_path / "m.keras", max_map_bytes=True)
    with keras_ssd.map_limit(1000):
        assert keras_ssd.load(tmp_path / "m.keras", max_map_bytes=1 << 20).input_size == (64, 64)
        assert keras_ssd.open_model(tmp_path / "m.keras", max_map_bytes=1 << 20).input_size == (64, 64)
        with pytest.raises(ValueError, match="at most 1,000 are built"):
            keras_ssd.load(tmp_path / "m.keras")


LINES = (
    "detect a.png -w m.keras",
    "doctor m.keras",
    "convert m.keras --out x.keras",
    "evaluate a.csv --weights m.keras",
)


def test_values_commands_that_open_models_take_the_limit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras_ssd.ssd7(classes=["a"], input_size=(64, 64)).save("m.keras")
    Image.fromarray(np.zeros((24, 32, 3), "uint8")).save("a.png")
    (tmp_path / "a.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.png,a,5,5,20,20\n")
    for line in (*LINES, "train a.csv --out run --weights m.keras --epochs 1 --validation-set none"):
        assert main([*line.split(), "--max-map-bytes", "1000"]) == 2, line
        told = capsys.readouterr().err
        assert "at most 1,000 are built" in told, line
        assert "raise the limit with --max-map-bytes." in told, line
        assert "map_limit" not in told, line
    with keras_ssd.map_limit(1000):
        assert main(["anchors", "report", "a.csv", "--anchors", "m.keras"]) == 2
    told = capsys.readouterr().err
    assert "at most 1,000 are built" in told
    assert "raise the limit" not in told


class ResourceExhaustedError(RuntimeError):
    """As TensorFlow's."""


@pytest.mark.parametrize(
    "error", [MemoryError(), ResourceExhaustedError("OOM when allocating"), RuntimeError("RESOURCE_EXHAUSTED: Out of")]
)
def test_values_errors_of_memory_advise_only_options_that_the_command_has(error):
    advised = []
    for leaf in make_parser().leaves():
        told = _told(error, Namespace(**{action.dest: action.default for action in leaf._actions}))
        assert told.startswith("there is not enough memory."), leaf.prog
        named = set(re.findall(r"--[a-z][a-z-]+", told))
        assert named <= {option for action in leaf._actions for option in action.option_strings}, leaf.prog
        advised += [leaf.prog] if "--batch-size" in named else []
    assert sorted(advised) == [
        f"keras-ssd {name}" for name in ("benchmark", "detect", "evaluate", "label", "prune", "serve", "train", "tune")
    ]
