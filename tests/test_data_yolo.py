"""YOLO's data as tools and hands lay them out: data.yaml, Darknet's files, and labels."""

import os

import pytest
from data_files import save_image
from yolo_files import BOX, HALF, found, yolo

from keras_ssd import data
from keras_ssd.data import DataError


@pytest.mark.parametrize(
    ("yaml", "label", "name"),
    [
        ("train: images/train\nnames: [men's shoe, women's shoe]", 1, "women's shoe"),
        ("train: images/train\nnames: {0: 'yes', 1: no}", 1, "no"),
        ("train: images/train\nnames: [0, 1]\nnc: 2", 1, "1"),
        ("train: images/train\nnames:\n  1: nut\n  2: bolt\nnc: 2", 2, "bolt"),
        ("train: images/train\nnames:\n  1: nut\n  2: bolt\nnc: 3", 1, "nut"),
        ("path: .\ntrain: ./images/train/\nnames: [a, b]\ncolors: [[1, 2, 3], [4, 5, 6]]", 0, "a"),
        ("path: ../pets\ntrain: images/train\nnames: [a, b]", 0, "a"),
        ("path: /home/else/pets\ntrain: images/train\nnames: [a, b]", 0, "a"),
        ("path: C:\\data\\pets\ntrain: images\\train\nnames: [a, b]", 0, "a"),
        ("train: /content/datasets/pets/images/train\nnames: [a, b]", 0, "a"),
        ("train: C:\\Users\\me\\pets\\images\\train\nnames: [a, b]", 0, "a"),
        ("train: [images/train]\nnames: [a, b]", 0, "a"),
        ("train: lists/train.txt\nnames: [a, b]", 0, "a"),
        ("train: [lists/train.txt]\nnames: [a, b]", 0, "a"),
        ("train: images\nnames: [a, b]", 0, "a"),
        ("train: images/train\nnames: [a, b]\nroboflow:\n  workspace: w\n  url: https://x.y/z", 0, "a"),
    ],
)
def test_values_data_yaml(tmp_path, yaml, label, name):
    root = yolo(tmp_path / "pets", {"images/train/one": f"{label} {HALF}\n"}, yaml)
    (root / "lists").mkdir()
    (root / "lists" / "train.txt").write_text("./images/train/one.jpg\n")
    for path in (root, root / "data.yaml"):
        [(_, objects)] = found(data.read(path, "train")).items()
        assert objects == ([name], BOX)


def test_values_roboflow_says_one_folder_up(tmp_path):
    yaml = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['nut']\n"
    root = yolo(tmp_path, {"train/images/a": f"0 {HALF}", "valid/images/b": "", "images/c": f"0 {HALF}"}, yaml)
    train = data.read(root, "train")
    assert found(train) == {"a": (["nut"], BOX)}
    assert train.splits == ("train", "val")
    [note] = train.problems
    assert (note.kind, note.is_fault) == ("absent split", False)
    assert "'../test/images' for the split 'test'" in note.what
    assert {name: len(part) for name, part in data.read_splits(root).items()} == {"train": 1, "val": 1}
    assert len(data.read(root)) == 2
    with pytest.raises(ValueError, match="names '../test/images' for the split 'test'"):
        data.read(root, "test")  # images/ of the root is no test split
    assert "splits that are named and not there: 1" in data.check(root).text()


def test_values_a_split_of_two_folders_lacks_one(tmp_path):
    yaml = "train: [images/a, images/b]\nval: images/a\nnames: [nut]\n"
    root = yolo(tmp_path, {"images/a/one": f"0 {HALF}"}, yaml)
    assert len(data.read(root, "val")) == 1
    with pytest.raises(ValueError, match="'images/b' for the split 'train'"):
        data.read(root, "train")


def test_values_folders_that_no_split_names(tmp_path):
    labels = {"images/train/a": f"0 {HALF}", "images/val/b": f"0 {HALF}", "images/val/deep/c": None}
    root = yolo(tmp_path, labels, "trian: image/train\nval: images/val\nnames: [nut]\n")
    assert [(p.kind, p.file) for p in data.read(root).problems] == [("unused", str(root / "images" / "train"))]
    labels = {"train/images/a": f"0 {HALF}", "valid/images/b": f"0 {HALF}"}
    root = yolo(tmp_path / "robo", labels, "val: ../valid/images\nnames: [nut]\n")
    assert [(p.kind, p.file) for p in data.read(root).problems] == [("unused", str(root / "train" / "images"))]


def test_values_a_key_without_name_is_no_split(tmp_path):
    root = yolo(tmp_path, {"images/a": f"0 {HALF}"}, "train: images\n~: images\n'': images\n[a]: [b]\nnames: [nut]\n")
    with pytest.raises(ValueError, match="unhashable"):
        data.read(root)
    (root / "data.yaml").write_text("train: images\n~: images\n'': images\nnames: [nut]\n")
    assert [*data.read_splits(root)] == ["train"]
    assert data.check(root).ok


def test_rejects_data_yaml_without_any_split(tmp_path):
    root = yolo(tmp_path, {}, "train: images/train\nnames: [nut]\n")
    with pytest.raises(ValueError, match="names no images that are there.*'images/train' for the split 'train'"):
        data.read(root)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("[nut, [a]]", "`names` that are texts"),
        ("[nut, '']", "`names` that are texts"),
        ("{a: nut}", "numbered by whole numbers. Received: a"),
        ("{-1: nut}", "numbered by whole numbers. Received: -1"),
        ("[nut]\nnc: 3", "nc is 3, and names has 1"),
        ("[nut]\nnames: [bolt]", "data.yaml:3: it cannot be read: the key 'names' occurs twice"),
    ],
)
def test_rejects_names(tmp_path, names, what):
    root = yolo(tmp_path, {"images/train/a": f"0 {HALF}"}, f"train: images/train\nnames: {names}\n")
    with pytest.raises(ValueError, match=what):
        data.read(root)


def test_values_other_yaml_beside_the_data(tmp_path):
    root = yolo(tmp_path, {"images/a": f"0 {HALF}"})
    (root / "classes.txt").write_text("nut\n")
    (root / "mkdocs.yml").write_text("a: !!python/name:x.y ''\n")
    assert found(data.read(root)) == {"a": (["nut"], BOX)}


# -- Darknet ------------------------------------------------------------------------------------------


def darknet(root, lines, folder="obj_train_data", keys="train = data/train.txt\n"):
    """A dataset as CVAT and Datumaro export it: paths begin with the data/ that the folder is to be put into."""
    save_image(root / folder / "a.jpg")
    (root / folder / "a.txt").write_text(f"1 {HALF}\n")
    (root / "obj.names").write_text("nut\nbolt\n")
    (root / "obj.data").write_text(f"classes = 2\n{keys}names = data/obj.names\nbackup = backup/\n")
    (root / "train.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def test_values_obj_data(tmp_path):
    root = darknet(tmp_path, ["data/obj_train_data/a.jpg"], keys="train = data/train.txt\nvalid = data/test.txt\n")
    for path in (root, root / "obj.data"):
        dataset = data.read(path, "train")
        assert [*found(dataset).values()] == [(["bolt"], BOX)]
        assert dataset.classes == ("nut", "bolt")
    with pytest.raises(ValueError, match="'data/test.txt' for the split 'valid'"):
        data.read(root, "valid")


def test_values_obj_data_within_data(tmp_path):
    darknet(tmp_path / "data", ["data/obj_train_data/a.jpg"])
    assert [*found(data.read(tmp_path / "data" / "obj.data")).values()] == [(["bolt"], BOX)]


def test_values_obj_data_of_another_machine(tmp_path):
    root = darknet(tmp_path, ["/home/me/darknet/data/obj_train_data/a.jpg", "C:\\gone\\obj_train_data\\b.jpg"])
    dataset = data.read(root, policy="drop")
    assert [*found(dataset).values()] == [(["bolt"], BOX)]
    assert [(p.kind, p.line) for p in dataset.problems] == [("missing image", 2), ("assumed", 1)]


def test_values_labels_of_jpegimages(tmp_path):
    root = darknet(tmp_path, ["JPEGImages/b.jpg"], keys="train = train.txt\n")
    save_image(root / "JPEGImages" / "b.jpg", seed=1)
    (root / "labels").mkdir()
    (root / "labels" / "b.txt").write_text(f"0 {HALF}\n")
    assert [*found(data.read(root)).values()] == [(["nut"], BOX)]


def test_values_obj_names_with_a_list_alone(tmp_path):
    save_image(tmp_path / "data" / "a.jpg")
    (tmp_path / "data" / "a.txt").write_text(f"1 {HALF}\n")
    (tmp_path / "obj.names").write_text("nut\nbolt\n")
    (tmp_path / "images.txt").write_text("data/a.jpg\n")
    assert [*found(data.read(tmp_path)).values()] == [(["bolt"], BOX)]


def test_values_darknet_folders_a_split(tmp_path):
    for seed, split in enumerate(("train", "valid")):
        save_image(tmp_path / split / "a.jpg", seed=seed)
        (tmp_path / split / "a.txt").write_text(f"0 {HALF}\n")
        (tmp_path / split / "_darknet.labels").write_text("nut\n")
    (tmp_path / "README.roboflow.txt").write_text("exported\n")
    assert {name: found(part) for name, part in data.read_splits(tmp_path).items()} == {
        "train": {"a": (["nut"], BOX)},
        "valid": {"a": (["nut"], BOX)},
    }


def test_rejects_obj_data_without_names(tmp_path):
    root = darknet(tmp_path, [])
    os.unlink(root / "obj.names")
    with pytest.raises(ValueError, match=r"there is no file 'data/obj.names' of class names"):
        data.read(root)
    (root / "obj.data").write_text("train = data/train.txt\n")
    with pytest.raises(ValueError, match="names no file of class names"):
        data.read(root / "obj.data")


# -- label lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "more", "box"),
    [
        ("0 0.25 0.25 0.75 0.25 0.75 0.75", "", BOX[0]),  # an outline of three corners
        ("0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5", "", BOX[0]),  # a turned box
        (f"0 {HALF} 0.1 0.1 2 0.9 0.9 1", "kpt_shape: [2, 3]\n", BOX[0]),
        (f"0 {HALF} 0.1 0.1 0.9 0.9", "kpt_shape: [2, 2]\n", BOX[0]),
        ("0.0 5e-1 .5 +0.5 0.50", "", BOX[0]),
    ],
)
def test_values_label_lines(tmp_path, line, more, box):
    root = yolo(tmp_path, {"images/a": line}, f"train: images\nnames: [nut]\n{more}")
    assert found(data.read(root)) == {"a": (["nut"], [box])}


def test_rejects_labels_without_an_image(tmp_path):
    root = yolo(tmp_path, {"images/train/a": f"0 {HALF}"}, "train: images/train\nnames: [nut]\n")
    (root / "labels" / "train" / "lost.txt").write_text(f"0 {HALF}\n")
    (root / "labels" / "train" / "classes.txt").write_text("nut\n")
    (root / "labels" / "train" / "empty.txt").write_text("")
    dataset = data.read(root, policy="drop")
    [problem] = dataset.problems
    assert problem.kind == "missing image"
    assert problem.file == str(root / "labels" / "train" / "lost.txt")


def label_of(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "place", ["annotations/train/a.txt", "labels/a.txt", "labels/train/a.json", "train/labelTxt/a.txt"]
)
def test_rejects_a_split_without_any_label_file(tmp_path, place):
    """Its images would all be background."""
    labels = {"images/train/a": None, "images/val/b": f"0 {HALF}"}
    root = yolo(tmp_path, labels, "train: images/train\nval: images/val\nnames: [nut]\n")
    other = label_of(root / place, f"0 {HALF}" if place.endswith("txt") else '{"shapes": [], "imagePath": "a.jpg"}')
    with pytest.raises(DataError) as error:
        data.read(root, "train")
    [fault] = error.value.problems.faults.of_kind("no labels")
    assert fault.file == str(root / "images" / "train")
    assert fault.what == (
        f"none of its 1 images has a label file: {root / 'labels' / 'train' / 'a.txt'} would be that of a.jpg. "
        f"There is {other}"
    )
    assert [*found(data.read(root, policy="drop"))] == ["b"]
    assert not data.check(root).ok


def test_values_data_without_objects_are_noted(tmp_path):
    root = yolo(tmp_path, {"images/a": ""}, "train: images\nnames: [nut]\n")
    assert "splits without any object: 1" in data.check(root).text()
    assert [problem.what for problem in data.read(root).problems] == ["none of its 1 images has an object"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0,0.5,0.5,0.5,0.5", "and found 1 words. Put spaces between the numbers, no commas."),
        ("nut 0.5 0.5 0.5 0.5", "class must be a finite number, and is 'nut'. Write its number in the list of names"),
    ],
)
def test_rejects_lines_with_advice(tmp_path, line, what):
    with pytest.raises(DataError) as error:
        data.read(yolo(tmp_path, {"images/a": line}, "train: images\nnames: [nut]\n"))
    assert what in str(error.value)


def test_values_neighbours_of_the_folder_are_not_looked_at(tmp_path):
    for name in ("one", "other"):
        yolo(tmp_path / name, {"images/a": f"0 {HALF}"}, "path: .\ntrain: images\nnames: [nut]\n")
    assert not data.read(tmp_path / "one").problems


# -- files of others --------------------------------------------------------------------------------------------


def test_values_shared_exports(shared):
    root = shared("cases", "annotation_exports", "28-yolo-yaml")
    names = {"from1": "nut", "ints": "0", "multi": "nut", "path_abs": "nut", "testempty": "nut", "testmissing": "nut"}
    for case, name in names.items():
        dataset = data.read(root / case, "train")
        assert found(dataset) == {"a": ([name], [[48, 36, 72, 54]])}, case
    assert data.read(root / "path_abs").classes == ("nut", "no")
