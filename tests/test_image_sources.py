"""What a user names as images: folders, patterns, arrays, lists of these."""

import pickle

import numpy as np
import pytest
from image_files import refusal
from PIL import Image

from keras_ssd.images import (
    ImageError,
    ImageTooLargeError,
    expand_sources,
    split_sources,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def names(sources):
    return [source.name for source in expand_sources(sources)]


def test_values_folder_is_sorted_and_holds_images_only(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.png").mkdir()
    found = list(expand_sources(tmp_path))
    assert [source.relative for source in found] == ["a.png", "b.JPG", "c.webp"]
    assert found[0].name == found[0].image == str(tmp_path / "a.png")


def test_values_pattern(tmp_path):
    for name in ("x/1.png", "x/2.jpg", "y/z/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = list(expand_sources(str(tmp_path / "**" / "*.png")))
    assert [source.relative for source in found] == ["x/1.png", "y/z/3.png"]


def test_values_a_file_whose_name_looks_like_a_pattern(tmp_path):
    path = tmp_path / "shot[1].png"
    path.touch()
    assert names(path) == [str(path)]


def test_values_arrays_and_images_and_urls():
    batch = np.zeros((2, 5, 4, 3), np.uint8)
    image = Image.new("L", (4, 5))
    found = list(expand_sources([batch, batch[0], image, "https://example.org/a%20b.png?x=1"]))
    assert [s.name for s in found][:4] == ["array 0[0]", "array 0[1]", "array 1", "image 2"]
    assert found[-1].relative == "a b.png"
    assert [s.in_memory for s in found] == [True] * 4 + [False]
    assert names(batch) == ["array 0[0]", "array 0[1]"]
    assert names(image) == ["image 0"]


def test_values_sources_are_taken_lazily():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "a.jpg"

    found = expand_sources(endless())
    assert [next(found).name for _ in range(3)] == ["a.jpg"] * 3
    assert len(taken) == 3


def test_rejects_sources_that_name_nothing(tmp_path):
    with pytest.raises(ImageError, match="holds no image"):
        names(tmp_path)
    with pytest.raises(ImageError, match="matches no file"):
        names(str(tmp_path / "*.png"))
    with pytest.raises(ImageError, match="Received: int"):
        names(["a.jpg", 5])
    with pytest.raises(TypeError, match="Received: int"):
        names(5)


def test_rejects_what_is_no_url_and_goes_on():
    bad, good = split_sources(["http://[bad/x.jpg", "a.jpg"])
    with pytest.raises(ImageError, match=r"Cannot read image http://\[bad/x.jpg: it is not a URL"):
        next(bad())
    assert next(good()).name == "a.jpg"


def test_rejects_an_empty_name_visibly():
    assert refusal("") == "Cannot read image '': there is no such file."


def test_roundtrip_errors_between_processes():
    error = ImageTooLargeError("a.png", "2 x 3", 5)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.limit) == (ImageTooLargeError, str(error), 5)
