"""The image that an annotation means, by a path that stood on another machine."""

import os
import unicodedata

import pytest
from data_files import coco_file, save_image, voc_object, voc_xml

from keras_ssd import data
from keras_ssd.data import DataError
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


NONE = [
    "",
    ".",
    "..",
    "/",
    "\\",
    "C:",
    "a\0.jpg",
    "://",
    "b.jpg",
    "%",
    "http://[",
    "\ud800",
    "\ud800/a.png",
    "x" * 5000,
    "?d=",
]


@pytest.mark.parametrize("name", NONE, ids=ascii)
def test_values_nothing_is_found_for_what_is_no_image(tmp_path, name):
    assert tree(tmp_path, "a.jpg").find(name) == Found()


def test_rejects_missing_and_doubtful_names_and_notes_the_rest(tmp_path):
    finder = tree(tmp_path, "x/a.jpg", "y/a.jpg", "x/b.jpg", "x/c.jpg")
    problems, assumed = [], Assumed()
    for name in ("q\\a.jpg", "q\\b.jpg", "q\\c.jpg", "d.jpg", "x/b.jpg"):
        finder.path_of(name, "name", ("f.json", 3), (problems, assumed))
    assert [str(problem) for problem in problems] == [
        f"f.json:3: q\\a.jpg may be {tmp_path}/x/a.jpg, {tmp_path}/y/a.jpg (left out)",
        "f.json:3: there is no image d.jpg (left out)",
    ]
    [note] = assumed.problems()
    assert not note.is_fault
    assert str(note) == f"f.json:3: {BY_TAIL} (2 times): q\\b.jpg is {tmp_path}/x/b.jpg"


NAMES = ["x\\a b.JPG", "C:\\me\\x\\a b.jpg", "/home/me/x/a%20b.jpg", "https://host/x/a%20b.jpg", "../../x/a b.jpg"]


def written(root, format, name):
    """A dataset whose annotation calls its image by a name."""
    save_image(root / "images" / "x" / "a b.jpg")
    if format == "voc":
        (root / "Annotations").mkdir()
        (root / "Annotations" / "one.xml").write_text(voc_xml(voc_object("nut", 11, 9, 30, 24), filename=name))
    elif format == "csv":
        (root / "boxes.csv").write_text(f"filename,class,xmin,ymin,xmax,ymax\n{name},nut,10,8,30,24\n")
    elif format == "yolo":
        (root / "labels" / "x").mkdir(parents=True)
        (root / "labels" / "x" / "a b.txt").write_text("0 0.33333333 0.4 0.33333333 0.4\n")
        (root / "list.txt").write_text(f"{name}\n")
        (root / "data.yaml").write_text("train: list.txt\nnames: [nut]\n")
    else:
        row = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 8, 20, 16]}
        coco_file(root / "result.json", [{"id": 1, "file_name": name}], [row])
    return root


@pytest.mark.parametrize("format", ["coco", "voc", "csv", "yolo"])
@pytest.mark.parametrize("name", NAMES)
def test_values_every_format_finds_images_so(tmp_path, format, name):
    dataset = data.read(written(tmp_path, format, name), format=format)
    assert [annotation.image for annotation in dataset] == [str(tmp_path / "images" / "x" / "a b.jpg")]
    assert dataset[0].boxes_xyxy.round(3).tolist() == [[10, 8, 30, 24]]


@pytest.mark.parametrize("format", ["coco", "voc", "csv", "yolo"])
def test_rejects_two_candidates_in_every_format(tmp_path, format):
    save_image(tmp_path / "images" / "y" / "a b.jpg", seed=1)
    with pytest.raises(DataError, match=r"z[/\\]a b.jpg may be .*x/a b.jpg, .*y/a b.jpg"):
        data.read(written(tmp_path, format, "C:\\z\\a b.jpg"), format=format)


def test_values_the_ending_of_a_filename_of_voc_decides(tmp_path):
    (tmp_path / "Annotations").mkdir()
    for seed, name in enumerate(("a.jpg", "a.png")):
        save_image(tmp_path / "JPEGImages" / name, seed=seed)
    (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(voc_object("nut", 1, 2, 3, 4), filename="a.png"))
    assert data.read(tmp_path)[0].image == str(tmp_path / "JPEGImages" / "a.png")


@pytest.mark.parametrize("format", ["coco", "voc", "csv", "yolo"])
def test_values_an_absolute_path_of_this_machine(tmp_path, format):
    elsewhere = save_image(tmp_path / "elsewhere" / "one.jpg")
    root = written(tmp_path / "set", format, elsewhere)
    if format == "yolo":  # whose label files lie beside their images
        (tmp_path / "elsewhere" / "one.txt").write_text("0 0.33333333 0.4 0.33333333 0.4\n")
    dataset = data.read(root, format=format)
    assert [(a.name, a.image) for a in dataset] == [("one", elsewhere)]
    assert len(dataset.problems) == 0
