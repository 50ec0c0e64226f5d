"""`keras-ssd convert` and `keras-ssd zoo inspect`, as a user types them."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from caffe_nets import net_of, random_weights, written
from outside_nets import ultra_light, ultra_light_priors
from PIL import Image
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.cli.main import main

IMAGES = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A small Caffe net in the working folder."""
    monkeypatch.chdir(tmp_path)
    net = random_weights(small_net())
    written(net, tmp_path)
    Image.fromarray(IMAGES[0].astype("uint8")).save("street.jpg")
    return net


def run(model):
    return keras.ops.convert_to_numpy(model(IMAGES))


COMMON = ["convert", "net.prototxt", "net.caffemodel", "--labels", "cat,dog,cow"]


def test_rejects_a_file_that_is_not_there(files, capsys):
    assert main(["convert", "nope", "-o", "x.keras"]) == 2
    assert capsys.readouterr().err.startswith("keras-ssd convert: No such file: 'nope'. ")


def test_values_caffe_to_keras(files, capsys):
    assert main([*COMMON, "--mean", "1,2,3", "--scale", "0.5", "-o", "mine.keras"]) == 0
    printed = capsys.readouterr().out
    assert "a_priors" in printed
    assert "576 anchors" in printed
    assert "(BGR image - (1, 2, 3)) * (0.5, 0.5, 0.5), from what was given" in printed
    assert "keras-ssd detect IMAGE --weights mine.keras" in printed
    model = keras_ssd.load("mine.keras")
    assert model.class_names == ("cat", "dog", "cow")
    expected = keras_ssd.from_caffe(files, files, mean=(1, 2, 3), scale=0.5)
    np.testing.assert_array_equal(run(model), run(expected))


def test_values_caffe_to_onnx_with_the_difference(files, capsys):
    pytest.importorskip("onnxruntime")
    options = ["--mean", "128", "--input", "bgr", "--image", "street.jpg", "-q", "-o", "mine.onnx"]
    assert main([*COMMON, *options]) == 0
    printed = capsys.readouterr().out
    assert "street.jpg" in printed
    assert "noise" in printed
    import onnxruntime

    session = onnxruntime.InferenceSession("mine.onnx")
    assert [output.name for output in session.get_outputs()] == ["boxes", "scores"]


def test_values_keras_to_caffe_and_back(files, capsys):
    assert main([*COMMON, "--mean", "128", "-q", "-o", "mine.keras"]) == 0
    assert main(["convert", "mine.keras", "-o", "back.prototxt", "-q"]) == 0
    assert "back.caffemodel" in capsys.readouterr().out
    again = keras_ssd.from_caffe("back.prototxt", "back.caffemodel")
    np.testing.assert_allclose(run(again), run(keras_ssd.load("mine.keras")), rtol=0, atol=1e-4)


def test_values_other_size_and_fractions_reach_the_net(files):
    assert main([*COMMON, "--mean", "0", "--input-size", "40x48", "--keep-fractions", "-q", "-o", "a.keras"]) == 0
    assert keras_ssd.load("a.keras").input_size == (40, 48)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.prototxt", "-o", "mine.h5"], "--out must end in .keras, .onnx, .prototxt"),
        (["net.prototxt", "net.caffemodel", "-o", "net.prototxt"], "would overwrite net.prototxt"),
        (["net.prototxt", "net.caffemodel", "-o", "nowhere/a.keras"], "no folder nowhere"),
        (["net.prototxt", "a", "b", "-o", "a.keras"], "a .prototxt and a .caffemodel"),
        (["net.caffemodel", "net.caffemodel", "-o", "a.keras"], "a .prototxt and a .caffemodel"),
        (["net.caffemodel", "--mean", "1", "-o", "a.keras"], "--mean is for a .prototxt"),
        (["net.caffemodel", "-o", "a.keras"], "Name its prototxt too"),
        (
            ["net.prototxt", "net.caffemodel", "--image", "street.jpg", "-o", "a.keras"],
            "--check-with compares an ONNX",
        ),
        (["net.prototxt", "missing.caffemodel", "-o", "a.keras"], "missing.caffemodel"),
        (["net.prototxt", "net.caffemodel", "--labels", "a,b", "-o", "a.keras"], "must name the net's 3 classes"),
    ],
)
def test_rejects(files, tmp_path, capsys, arguments, message):
    before = sorted(tmp_path.iterdir())
    assert main(["convert", *arguments]) == 2
    told = capsys.readouterr().err
    assert any(part in told for part in message.split("|")), told
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["net.prototxt", "-o", "a.keras", "--mean", "a"],
        ["net.prototxt", "-o", "a.keras", "--input-size", "3"],
        ["net.prototxt"],
    ],
)
def test_rejects_misspelt_arguments(files, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["convert", *arguments])
    assert caught.value.code == 2


def test_rejects_a_failed_save_and_leaves_nothing(files, tmp_path, monkeypatch, capsys):
    def fail(self, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(keras_ssd.SSD, "save", fail)
    before = sorted(tmp_path.iterdir())
    assert main([*COMMON, "--mean", "0", "-q", "-o", "mine.keras"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_values_inspect_a_caffemodel(files, capsys):
    assert main(["zoo", "inspect", "net.caffemodel"]) == 0
    printed = capsys.readouterr().out
    assert "a_loc\tConvolution\t0 12x6x3x3, 1 12\t660" in printed
    assert "4 with the background, says layer 'out'" in printed
    assert main(["zoo", "inspect", "net.caffemodel", "--json"]) == 0
    contents = json.loads(capsys.readouterr().out)
    assert contents["rows"][1] == {
        "layer": "a",
        "kind": "Convolution",
        "arrays": {"0": [6, 3, 3, 3], "1": [6]},
        "parameters": 168,
    }


def test_values_inspect_other_files(files, capsys):
    assert main(["zoo", "inspect", "net.prototxt"]) == 0
    assert "a Caffe net without weights" in capsys.readouterr().out
    keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 64)).save_weights("ssd7.weights.h5")
    assert main(["zoo", "inspect", "ssd7.weights.h5"]) == 0
    printed = capsys.readouterr().out
    assert "network:              ssd7" in printed
    assert "2 without background" in printed


def test_rejects_what_holds_no_weights(files, capsys):
    assert main(["zoo", "inspect", "street.jpg"]) == 2
    assert "street.jpg" in capsys.readouterr().err
    assert main(["zoo", "inspect", "nothing.h5"]) == 2


FACE = ["--mean", "127", "--scale", "0.0078125", "--channel-order", "rgb", "--labels", "face,"]


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A small detector whose priors are computed outside it, and these priors."""
    monkeypatch.chdir(tmp_path)
    net = random_weights(net_of(ultra_light()), outputs=["boxes", "scores"])
    written(net, tmp_path, "face")
    np.save("priors.npy", ultra_light_priors())
    (tmp_path / "priors.json").write_text(json.dumps(ultra_light_priors().tolist()))
    return ["convert", "face.prototxt", "face.caffemodel"]


@pytest.mark.parametrize("priors", ["priors.npy", "priors.json"])
@pytest.mark.parametrize("heads", [["--heads", "boxes:scores"], []])
def test_values_priors_from_a_file(faces, priors, heads):
    assert main([*faces, *FACE, *heads, "--anchors", priors, "-o", "face.keras"]) == 0
    model = keras_ssd.load("face.keras")
    assert model.class_names == ("face",)
    np.testing.assert_allclose(model.anchor_spec.anchors_cxcywh(), ultra_light_priors(), rtol=0, atol=1e-6)


def test_values_plain_model_of_some_blobs(faces, capsys):
    assert main([*faces, "--mean", "0", "--outputs", "s8,s16", "-o", "body.keras"]) == 0
    assert "A plain model of s8, s16" in capsys.readouterr().out
    assert len(keras.saving.load_model("body.keras").outputs) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["face.prototxt"], "its weights are in a .caffemodel"),
        (["face.caffemodel"], "Name its prototxt too"),
        (["face.prototxt", "face.caffemodel"], "last blobs are boxes, scores"),
        (["face.prototxt", "face.caffemodel", "--anchors", "nothing.npy"], "No file of priors"),
        (["face.prototxt", "face.caffemodel", "--anchors", "face.caffemodel"], "a .npy or .json file"),
        (["face.prototxt", "face.caffemodel", "--heads", "boxes:scores"], "needs its priors: --anchors"),
        (["face.prototxt", "face.caffemodel", "--outputs", "nothing"], "no layer makes the blobs"),
        (
            ["face.prototxt", "face.caffemodel", "--outputs", "s8", "--max-map-bytes", "100"],
            "raise the limit with --max-map-bytes",
        ),
    ],
)
def test_rejects_half_a_net_in_the_words_of_the_shell(faces, capsys, arguments, message):
    assert main(["convert", *arguments, "-o", "face.keras"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "`" not in told.replace("`keras-ssd", "")
    assert "outputs=" not in told
    assert not Path("face.keras").exists()
