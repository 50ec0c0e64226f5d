"""Folders of YOLO's data: links, endings of files, other files beside them, and splits without images."""

import os

import pytest
from data_files import save_image
from PIL import Image
from yolo_files import BOX, HALF, found, yolo

from keras_ssd import data
from keras_ssd.data import DataError


def test_values_links_are_followed(tmp_path):
    store = yolo(tmp_path / "store", {"images/deep/a": f"0 {HALF}"})
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    os.symlink(store / "images" / "deep", root / "images" / "train")
    os.symlink(store / "labels" / "deep", root / "labels" / "train")
    os.symlink(root / "images", root / "images" / "train" / "round")  # a circle
    (root / "data.yaml").write_text("train: images\nnames: [nut]\n")
    assert found(data.read(root)) == {"train/a": (["nut"], BOX)}
    assert data.check(root).ok


def test_values_links_of_voc_are_followed(tmp_path):
    save_image(tmp_path / "store" / "images" / "a.jpg")
    (tmp_path / "store" / "xml").mkdir()
    box = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    (tmp_path / "store" / "xml" / "a.xml").write_text(
        f"<annotation><object><name>nut</name>{box}</object></annotation>"
    )
    for name, kind in (("Annotations", "xml"), ("JPEGImages", "images")):
        (tmp_path / "set" / name).mkdir(parents=True)
        os.symlink(tmp_path / "store" / kind, tmp_path / "set" / name / "part")
    os.symlink(tmp_path / "set" / "Annotations", tmp_path / "store" / "xml" / "round")
    assert found(data.read(tmp_path / "set")) == {"part/a": (["nut"], [[9, 9, 40, 30]])}


def test_values_a_folder_that_is_linked_twice_is_read_once(tmp_path):
    """Also where the links come first by name: the folder itself is the one that is read."""
    yolo(tmp_path, {"images/l0/a": f"0 {HALF}"}, "train: images\nnames: [nut]\n")
    for twin in "az":
        os.symlink(tmp_path / "images" / "l0", tmp_path / "images" / twin)
    for level in range(40):  # 2 ** 40 ways
        (tmp_path / f"x{level + 1}").mkdir()
        below = tmp_path / f"x{level}" if level else tmp_path / "images"
        for twin in "bc":
            os.symlink(tmp_path / f"x{level + 1}", below / twin)
    save_image(tmp_path / "x40" / "deepest.jpg")
    assert found(data.read(tmp_path)) == {"l0/a": (["nut"], BOX), f"{'b/' * 40}deepest": ([], [])}


def test_rejects_more_folders_than_any_dataset_has(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_ssd.data.formats.layout.MAX_FOLDERS", 100)
    yolo(tmp_path, {"images/a": None}, "train: images\nnames: [nut]\n")
    for number in range(101):
        (tmp_path / "images" / str(number)).mkdir()
    with pytest.raises(ValueError, match="more than 100 folders below it"):
        data.read(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of formats that Pillow will drop
def test_values_every_ending_that_is_read(tmp_path):
    from keras_ssd.images import has_image_ending, image_endings, is_image_name, read_image

    endings = image_endings()
    assert {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pgm"} <= {*endings}
    assert not {".pdf", ".mpg", ".h5", ".eps", ".txt", ".csv", ".json", ".xml", ".mp4"} & {*endings}
    assert is_image_name("a.JFIF")
    assert not is_image_name(".a.jfif")
    assert not has_image_ending("a.jpg.txt")
    writable = [ending for ending in endings if Image.registered_extensions()[ending] in Image.SAVE]
    read = 0
    for ending in writable:
        try:
            Image.new("RGB", (32, 32), "red").save(tmp_path / f"a{ending}")
        except (OSError, ValueError, KeyError):  # formats that hold no RGB
            continue
        assert read_image(tmp_path / f"a{ending}")[0, 0].argmax() == 0  # red
        read += 1
    assert read > 15


@pytest.mark.parametrize("ending", ["jfif", "JPE", "dib", "TIFF"])
def test_values_rare_endings_are_listed(tmp_path, ending):
    root = yolo(tmp_path, {"images/a": f"0 {HALF}"}, "train: images\nnames: [nut]\n", ending)
    assert found(data.read(root)) == {"a": (["nut"], BOX)}


@pytest.mark.parametrize(("kept", "other"), [("data.yaml", "coco8.yaml"), ("coco8.yaml", "pets.yml")])
def test_values_one_of_several_yaml_files_is_taken(tmp_path, kept, other):
    root = yolo(tmp_path, {"images/train/a": f"1 {HALF}"})
    (root / "hyp.yaml").write_text("lr0: 0.01\n")
    (root / kept).write_text("train: images/train\nnames: [nut, bolt]\n")
    (root / other).write_text("train: images/train\nnames: [cat, dog]\n")
    dataset = data.read(root)
    assert found(dataset) == {"a": (["bolt"], BOX)}
    [note] = dataset.problems
    assert str(note) == f"{root / other}: it names classes too, and was not used: {root / kept} was"


@pytest.mark.parametrize("target", ["", "images", "images/train", "labels/.."])
def test_values_links_to_what_is_read_are_no_splits(tmp_path, target):
    root = yolo(tmp_path / "pets", {"images/train/a": f"0 {HALF}", "images/val/b": f"0 {HALF}"})
    (root / "classes.txt").write_text("nut\n")
    link = root / "images" / "loop"
    link.symlink_to(root / target)
    splits = data.read_splits(root)
    assert {name: [*found(part)] for name, part in splits.items()} == {"train": ["a"], "val": ["b"]}
    notes = [str(note) for note in splits["train"].problems]
    assert notes == [f"{link}: it is a link to {(root / target).resolve()}, whose images are read already"]


def test_values_links_to_folders_elsewhere_are_splits(tmp_path):
    root = yolo(tmp_path / "pets", {"images/train/a": f"0 {HALF}", "labels/val/b": f"0 {HALF}"})
    (root / "classes.txt").write_text("nut\n")
    save_image(tmp_path / "more" / "b.jpg", seed=5)
    (root / "images" / "val").symlink_to(tmp_path / "more")
    assert {name: [*found(part)] for name, part in data.read_splits(root).items()} == {"train": ["a"], "val": ["b"]}


def test_rejects_a_folder_called_like_an_image(tmp_path):
    root = yolo(tmp_path, {"images/b": f"0 {HALF}", "labels/a": None})
    (root / "labels" / "a.jpg").unlink()
    (root / "labels" / "a.txt").write_text(f"0 {HALF}")
    (root / "classes.txt").write_text("nut\n")
    (root / "images" / "a.jpg").mkdir()
    with pytest.raises(DataError, match="there is no image a.jpg, or of another ending. .*a.jpg is a folder"):
        data.read_splits(root)
    assert [*data.read_splits(root, policy="drop")] == [""]


@pytest.mark.parametrize("there", ["a.heic", "a"])
def test_rejects_labels_beside_a_file_that_is_not_read(tmp_path, there):
    root = yolo(tmp_path, {"images/a": f"0 {HALF}", "images/b": f"0 {HALF}"})
    (root / "classes.txt").write_text("nut\n")
    file = (root / "images" / "a.jpg").rename(root / "images" / there)
    [problem] = data.read(root, policy="drop").problems
    assert problem.what == (
        f"there is no image a.jpg, or of another ending. There is {file}, which its ending does not show to be an "
        "image: make a JPEG or PNG file of it"
    )


def test_rejects_an_empty_split(tmp_path):
    yaml = "train: images/train\nval: images/val\nnames: [nut]\n"
    root = yolo(tmp_path, {"images/train/a": f"0 {HALF}"}, yaml)
    (root / "images" / "val").mkdir()
    assert len(data.read(root, "train")) == 1
    with pytest.raises(DataError, match="the split 'val' holds no images"):
        data.read(root, "val")
    with pytest.raises(DataError, match="the split 'val' holds no images"):
        data.read(root, "val", policy="drop")
    with pytest.raises(DataError, match="the split 'val' holds no images"):
        data.read_splits(root)
    splits = data.read_splits(root, policy="drop")
    assert [*splits] == ["train"]
    assert [p.kind for p in splits["train"].problems] == ["empty split"]
    checked = data.check(root)
    assert not checked.ok
    assert "splits without images: 1" in checked.text()


def test_rejects_a_dataset_of_empty_folders(tmp_path):
    root = yolo(tmp_path, {}, "train: images\nnames: [nut]\n")
    (root / "images").mkdir()
    checked = data.check(root)
    assert not checked.ok
    assert "the split 'train' holds no images" in checked.text()
