"""What `detect` gives, as a list: places, slices, lengths, and what is computed and kept for them."""

import io
import logging
import pickle

import numpy as np
import pytest
from PIL import Image
from test_detect import brightness_model, flat, levels

from keras_ssd.detecting import detect
from keras_ssd.images import ImageError, ImagesBelowError, Source, expand_sources, read_image
from keras_ssd.results import MOST_KEPT


@pytest.fixture(scope="module")
def model():
    return brightness_model()


@pytest.fixture
def run(model):
    def run_detect(sources, **options):
        settings = {"class_names": ("light", "dark"), "confidence": 0, "classes": "light", **options}
        return detect(model, sources, **settings)

    return run_detect


@pytest.fixture
def reads(monkeypatch):
    """The names of the images that are read."""
    from keras_ssd import pipeline

    names = []
    real = pipeline.read_image
    monkeypatch.setattr(
        pipeline, "read_image", lambda *args, name, **options: names.append(name) or real(*args, name=name, **options)
    )
    return names


@pytest.fixture
def folder(tmp_path):
    for i in range(5):
        Image.new("RGB", (20, 10), (10 * i,) * 3).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.mark.numerical  # the rest is about lists and files, not about what a backend computes
def test_values_places_and_slices(run, folder, reads):
    results = run(folder)
    assert len(results) == 5
    assert reads == []
    assert levels([results[3], results[-1], results[0]]) == [30, 40, 0]
    assert len(reads) == 3
    assert levels(results[1:3]) == [10, 20]
    assert levels(results[::-2]) == [40, 20, 0]
    assert levels(results[-2:][0:1]) == [30]
    assert levels(reversed(results)) == [40, 30, 20, 10, 0]
    for place in (5, -6):
        with pytest.raises(IndexError, match="fewer images"):
            results[place]
    with pytest.raises(TypeError):
        results["0"]
    assert repr(results) == "<Results of 5 images, computed when asked for>"


def test_values_what_is_asked_for_by_place_is_kept(run, folder, reads):
    results = run(folder)
    assert results[2] is results[2]
    assert len(reads) == 1
    results = run([flat(9)] * (MOST_KEPT + 5))
    for place in range(MOST_KEPT + 5):
        results[place]
    assert len(results._kept) == MOST_KEPT


def test_values_a_second_loop_detects_anew(run, folder, reads):
    results = run(folder)
    assert levels(results) == levels(results) == [0, 10, 20, 30, 40]
    assert len(reads) == 10


def test_values_one_file(run, folder):
    assert levels([run(folder / "2.png")[0]]) == [20]
    assert bool(run(folder / "2.png"))
    assert not run([])
    assert len(run([])) == 0


def test_rejects_an_iterator_that_is_used_up(run):
    results = run(flat(level) for level in (1, 2, 3))
    assert levels([results[1]]) == [2]
    with pytest.raises(TypeError, match="number of results is not known"):
        len(results)
    with pytest.raises(TypeError, match="number of results is not known"):
        results[-1]
    assert levels(results[:2]) == [1, 2]
    assert levels(results) == [1, 2, 3]
    with pytest.raises(RuntimeError, match=r"Keep the results with list"):
        list(results)
    assert results
    assert "of an iterator" in repr(results)


def test_values_next_goes_on_with_an_iterator(run):
    results = run(iter([flat(1), flat(2), flat(3)]), batch_size=1)
    assert levels([next(results)]) == [1]
    assert levels(results) == [2, 3]


def test_rejects_a_bad_image_by_its_place(run, folder):
    (folder / "3.png").write_text("no image")
    told = []
    results = run(folder, on_error=told.append)
    assert len(results) == 5
    assert levels(results) == [0, 10, 20, 40]
    assert len(told) == 1
    with pytest.raises(ImageError, match=r"3\.png"):
        results[3]


# -- images that are no files -----------------------------------------------------------------------------------------


def png(level=60):
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (level,) * 3).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "wrap", [bytes, bytearray, memoryview, io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))]
)
def test_values_bytes_and_open_files(run, wrap):
    source = wrap(png())
    assert levels(run(source)) == [60]
    assert levels(run([source, flat(7)])) == [60, 7]  # a file is where it was
    assert levels([run(source)[0]]) == [60]
    np.testing.assert_array_equal(read_image(wrap(png())), np.full((10, 20, 3), 60))


def test_values_names_of_bytes_and_files(run, folder):
    with open(folder / "1.png", "rb") as file:
        assert [found.source for found in run([png(), io.BytesIO(png()), file])] == [
            "bytes 0",
            "file 1",
            str(folder / "1.png"),
        ]
    (found,) = run(png())
    assert found.draw().size == (20, 10)
    source = Source(png(), "standard input")
    assert [*expand_sources([source])] == [source]


def test_rejects_bytes_and_files_that_are_no_images(run, folder):
    path = str(folder / "1.png")
    with pytest.raises(ImageError, match=r"name of a file. Give it as text: '.*1\.png'"):
        run(path.encode())[0]
    with open(folder / "1.png", encoding="latin-1") as file, pytest.raises(ImageError, match='mode "rb"'):
        run(file)[0]
    with open(folder / "1.png", encoding="utf-8") as file, pytest.raises(ImageError, match='mode "rb"'):
        run(file)[0]
    with pytest.raises(ImageError, match="bytes 0: it is a text file"):
        run(b"hello, I am no image")[0]
    with pytest.raises(ImageError, match=r"empty \(0 bytes\)"):
        run(b"")[0]
    file = io.BytesIO(png())
    file.close()
    with pytest.raises(ImageError, match="closed file"):
        run(file)[0]


# -- folders below ----------------------------------------------------------------------------------------------------


@pytest.fixture
def deep(folder):
    """Five images, two below in one folder, one below that, and a link back to the top."""
    for level, name in ((50, "b/x.png"), (60, "b/y.png"), (70, "a/c/z.png"), (80, ".hidden/h.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (level,) * 3).save(folder / name)
    (folder / "b" / "round").symlink_to(folder, target_is_directory=True)
    return folder


def test_values_folders_below_are_told_or_taken(run, deep, caplog):
    assert levels(run(deep)) == [0, 10, 20, 30, 40]
    told = f"3 images lie in folders below {deep} and are left out; recursive=True takes them too."
    assert told in caplog.messages
    caplog.clear()
    assert levels(run(deep, recursive=True)) == [0, 10, 20, 30, 40, 70, 50, 60]
    assert [s.relative for s in expand_sources(deep, recursive=True)][5:] == ["a/c/z.png", "b/x.png", "b/y.png"]
    assert not caplog.messages


def test_rejects_a_folder_without_images_of_its_own(run, deep, tmp_path):
    with pytest.raises(ImageError, match=r"no image itself, and 1 lie in folders below. recursive=True"):
        list(run(deep / "a"))
    error = pickle.loads(pickle.dumps(ImagesBelowError("x", 3)))
    assert (error.folder, error.below) == ("x", 3)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "film.mp4").write_bytes(b"")
    with pytest.raises(ImageError, match=r"no image and none lies below(.|\n)*It holds 1 files \(1 with \.mp4\)"):
        list(run(nothing, recursive=True))


# -- several frames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gif", "tif", "webp", "png"])
def test_values_the_first_of_several_frames(run, tmp_path, ending, caplog):
    frames = [Image.new("RGB", (16, 16), (level,) * 3) for level in (40, 200, 90)]
    path = tmp_path / f"a.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if ending == "webp" else {}))
    with caplog.at_level(logging.INFO, "keras_ssd"):
        assert levels(run(path)) == [40]
    assert caplog.messages == [f"{path} has several frames or pages; the first is used."]
    caplog.clear()
    Image.new("RGB", (16, 16)).save(tmp_path / "b.gif")
    with caplog.at_level(logging.INFO, "keras_ssd"):
        list(run(tmp_path / "b.gif"))
    assert not caplog.messages
