"""`keras-ssd detect`: the first weights that can be had, and failures of every kind without a traceback."""

import zipfile

import pytest
from cli_lookalike import Lookalike, make_images, replace_network, run
from PIL import Image

from keras_ssd.cli import main
from keras_ssd.zoo import DownloadError


@pytest.fixture
def pretend(monkeypatch):
    replace_network(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    return make_images(tmp_path)


# -- weights ----------------------------------------------------------------------------------------


@pytest.fixture
def opens(monkeypatch):
    """Replaces opening: `opens[name]` is the error that a name meets; others open."""
    import keras_ssd.opening

    errors = {}

    def open_model(weights, model=None, class_names=None):
        if weights in errors:
            raise errors[weights]
        Lookalike.opened = (weights, model, class_names)
        return Lookalike()

    monkeypatch.setattr(keras_ssd.opening, "open_model", open_model)
    return errors


def weights(*names):
    return [part for name in names for part in ("--weights", name)]


@pytest.mark.usefixtures("pretend")
def test_values_the_first_weights_that_can_be_had(folder, opens, capsys):
    opens["a"] = DownloadError("a could not be downloaded. Tried:\n  one\n  two")
    opens["b.h5"] = FileNotFoundError("No weight file at 'b.h5'.")
    assert main(["detect", str(folder / "a.png"), *weights("a", "b.h5", "c", "d")]) == 0
    assert Lookalike.opened[0] == "c"
    assert capsys.readouterr().err.splitlines() == [
        "keras-ssd detect: weights a could not be downloaded; trying b.h5",
        "keras-ssd detect: weights b.h5 are not there; trying c",
    ]


@pytest.mark.usefixtures("pretend")
def test_rejects_weights_none_of_which_can_be_had(folder, opens, tmp_path, capsys):
    opens["a"] = DownloadError("a could not be downloaded.\n  one")
    opens["b.h5"] = FileNotFoundError("No weight file at 'b.h5'.")
    arguments = ["detect", str(folder), "--out", str(tmp_path / "out"), "--format", "json", *weights("a", "b.h5")]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "none of the 2 weights can be had:\n- a could not be downloaded.\n  one\n- No weight file at 'b.h5'." in err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("pretend")
def test_rejects_unfit_weights_although_others_follow(folder, opens, capsys):
    opens["a"] = ValueError("a is no detector")
    assert main(["detect", str(folder), *weights("a", "b")]) == 2
    assert capsys.readouterr().err == "keras-ssd detect: a is no detector\n"


def test_values_a_lost_network_leads_to_the_next_weights(monkeypatch, tmp_path, shared, capsys):
    """The real catalogue and a real file; the network is refused where the librarian asks for it."""
    import requests

    def refuse(*args, **kwargs):
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    monkeypatch.setattr(requests.Session, "send", refuse)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path))
    trained = shared("weights", "ssd7_traffic", "ssd7_traffic.h5")
    image = tmp_path / "a.png"
    Image.new("RGB", (60, 40)).save(image)
    assert main(["detect", str(image), *weights("voc07+12", str(trained))]) == 0
    out, err = capsys.readouterr()
    assert "a.png (60 x 40): nothing found" in out
    assert f"weights voc07+12 could not be downloaded; trying {trained}" in err


# -- failures -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("model_config"), "failed unexpectedly (KeyError: 'model_config'). `keras-ssd --traceback ...`"),
        (zipfile.BadZipFile("bad magic\nmore"), "failed unexpectedly (BadZipFile: bad magic)."),
        (RuntimeError(), "failed unexpectedly (RuntimeError)."),
        (MemoryError(), "not enough memory. Try a smaller --batch-size."),
        (TypeError("plainly told"), "keras-ssd detect: plainly told\n"),
    ],
)
def test_rejects_any_failure_without_a_traceback(folder, opens, error, said, capsys):
    opens["a"] = error
    assert main(["detect", str(folder), *weights("a")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    with pytest.raises(type(error)):
        main(["--traceback", "detect", str(folder), *weights("a")])


@pytest.mark.usefixtures("pretend")
def test_rejects_large_images_with_the_name_of_the_option(folder, capsys):
    assert run(folder / "a.png", "--max-pixels", "100") == 2
    err = capsys.readouterr().err
    assert "60 x 40 pixels and at most 100" in err
    assert "Pass a larger --max-pixels" in err
    assert "max_pixels" not in err
