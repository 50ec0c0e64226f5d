"""The image that an annotation means, by a path that stood on another machine."""

import os
import unicodedata

import pytest

from keras_ssd.data.formats.finding import BY_TAIL, Found, ImageFinder
from keras_ssd.data.formats.layout import Assumed


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return ImageFinder([root / "images", root])


@pytest.mark.parametrize(
    "name",
    [
        "images\\x\\a b.jpg",
        "./images/x/a b.jpg",
        "../../images/x/a b.jpg",
        "..\\data\\images\\x\\a b.jpg",
        "other/../images/x/a b.jpg",
        "C:\\Users\\me\\images\\x\\a b.jpg",
        "c:/images/x/a b.jpg",
        "\\\\server\\share\\x\\a b.jpg",
        "/home/me/data/x/a b.jpg",
        "file:///home/me/x/a%20b.jpg",
        "https://host:8080/data/x/a%20b.jpg?token=1#top",
        "/data/local-files/?d=set/x/a%20b.jpg",
        "x/a%20b.jpg",
        "x/a b.JPG",
        "X/A b.jpg",
        "/data/upload/1/3f5a7b2c-a b.jpg",
    ],
)
def test_values_a_path_of_another_machine(tmp_path, name):
    found = tree(tmp_path, "images/x/a b.jpg", "images/y/b.jpg").find(name)
    assert found.path == str(tmp_path / "images/x/a b.jpg")
    assert found.exact == (name == "./images/x/a b.jpg")


@pytest.mark.parametrize(("on_disk", "said"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_values_another_unicode_form(tmp_path, on_disk, said):
    name = unicodedata.normalize(on_disk, "été.jpg")
    found = tree(tmp_path, name).find(unicodedata.normalize(said, "été.jpg"))
    assert found.path == str(tmp_path / name)


def test_values_a_name_that_fits_as_it_stands_comes_first(tmp_path):
    finder = tree(tmp_path, "images/a%20b.jpg", "images/a b.jpg", "images/a.jpg", "images/A.jpg", "a.jpg")
    assert finder.find("a%20b.jpg") == Found(str(tmp_path / "images/a%20b.jpg"), exact=True)
    assert finder.find("A.jpg") == Found(str(tmp_path / "images/A.jpg"), exact=True)
    assert finder.find("D:\\images\\A.jpg") == Found(str(tmp_path / "images/A.jpg"))
    assert finder.find("D:\\images\\a%20b.jpg").path == str(tmp_path / "images/a%20b.jpg")


def test_values_the_longest_tail_decides(tmp_path):
    finder = tree(tmp_path, "a.jpg", "images/x/a.jpg", "images/y/a.jpg")
    assert finder.find("D:/set/y/a.jpg").path == str(tmp_path / "images/y/a.jpg")
    several = finder.find("D:/set/z/a.jpg")
    assert several.path is None
    assert sorted(several.candidates) == sorted(
        str(tmp_path / n) for n in ("a.jpg", "images/x/a.jpg", "images/y/a.jpg")
    )


def test_values_the_folder_of_the_split_decides_between_equal_tails(tmp_path):
    tree(tmp_path, "train/a.jpg", "valid/a.jpg")
    finder = ImageFinder([tmp_path / "valid", tmp_path], own=[tmp_path / "valid"])
    assert finder.find("C:\\a.jpg").path == str(tmp_path / "valid/a.jpg")


def test_values_one_image_by_two_links_is_one(tmp_path):
    finder = tree(tmp_path, "x/a.jpg")
    os.symlink(tmp_path / "x", tmp_path / "y")
    assert finder.find("C:\\a.jpg").path is not None


@pytest.mark.parametrize("name", ["", ".", "..", "/", "\\", "C:", "a\0.jpg", "://", "b.jpg", "%", "x" * 5000, "?d="])
def test_values_nothing_is_found_for_what_is_no_image(tmp_path, name):
    assert tree(tmp_path, "a.jpg").find(name) == Found()


def test_rejects_missing_and_doubtful_names_and_notes_the_rest(tmp_path):
    finder = tree(tmp_path, "x/a.jpg", "y/a.jpg", "x/b.jpg", "x/c.jpg")
    problems, assumed = [], Assumed()
    for name in ("q\\a.jpg", "q\\b.jpg", "q\\c.jpg", "d.jpg", "x/b.jpg"):
        finder.path_of(name, "name", ("f.json", 3), (problems, assumed))
    assert [str(problem) for problem in problems] == [
        f"f.json:3: q\\a.jpg may be {tmp_path}/x/a.jpg, {tmp_path}/y/a.jpg (left out)",
        "f.json:3: there is no picture d.jpg (left out)",
    ]
    [note] = assumed.problems()
    assert not note.is_fault
    assert str(note) == f"f.json:3: {BY_TAIL} (2 times): q\\b.jpg is {tmp_path}/x/b.jpg"
