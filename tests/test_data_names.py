"""Images that annotations name as another machine did, in each format; and texts in other encodings."""

import json
import unicodedata

import pytest
from data_files import coco_file, save_image, voc_folder, voc_object, voc_xml

from keras_ssd import data
from keras_ssd.data import DataError
from keras_ssd.data.formats.finding import BY_TAIL
from keras_ssd.data.formats.yolo_labels import LOOSELY

IMAGE = "images/x/é b.jpg"
SAID = {
    "backslashes": "images\\x\\é b.jpg",
    "dot": "./images/x/é b.jpg",
    "above": "../../images/x/é b.jpg",
    "drive": "C:\\Users\\me\\set\\images\\x\\é b.jpg",
    "home": "/home/me/set/x/é b.jpg",
    "url": "https://host/set/x/%C3%A9%20b.jpg?token=1",
    "percent": "images/x/%C3%A9%20b.jpg",
    "ending": "images/x/é b.JPG",
    "NFD": unicodedata.normalize("NFD", "images/x/é b.jpg"),
}


def yolo_list(root, said):
    (root / "labels" / "x").mkdir(parents=True)
    (root / "labels" / "x" / "é b.txt").write_text("0 .5 .5 .5 .5\n")
    (root / "train.txt").write_text(said + "\n", encoding="utf-8")
    (root / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")


def voc(root, said):
    (root / "Annotations").mkdir()
    text = voc_xml(voc_object("cat", 16, 11, 45, 30), filename=said)
    (root / "Annotations" / "7.xml").write_text(text, encoding="utf-8")


def table(root, said):
    (root / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{said},15,10,45,30,cat\n", encoding="utf-8")


def coco(root, said):
    row = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [15, 10, 30, 20]}
    images = [{"id": 1, "file_name": said, "width": 60, "height": 40}]
    coco_file(root / "boxes.json", images, [row], [{"id": 7, "name": "cat"}])


WRITERS = {"yolo": yolo_list, "voc": voc, "csv": table, "coco": coco}


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("format", WRITERS)
def test_values_names_of_another_machine(tmp_path, format, kind):
    image = save_image(tmp_path / IMAGE)
    save_image(tmp_path / "images" / "y" / "other.jpg", seed=1)
    WRITERS[format](tmp_path, SAID[kind])
    read = data.read(tmp_path, format=format)
    [annotation] = [each for each in read if len(each)]
    assert annotation.image == image
    assert annotation.boxes_xyxy.tolist() == [[15, 10, 45, 30]]
    told = [problem.what for problem in read.problems.of_kind("assumed")]
    exact = kind == "dot" or (format == "yolo" and kind == "backslashes")
    assert told == ([] if exact else [f"{BY_TAIL}: {SAID[kind]} is {image}"])
    assert exact or BY_TAIL in data.check(tmp_path, format=format).text()


@pytest.mark.parametrize("format", WRITERS)
def test_rejects_a_name_that_two_images_fit(tmp_path, format):
    for seed, folder in enumerate("pq"):
        save_image(tmp_path / "images" / folder / "a.jpg", seed=seed)
    WRITERS[format](tmp_path, "D:\\set\\a.jpg")
    with pytest.raises(DataError, match=r"D:\\set\\a.jpg may be .*images/p/a.jpg, .*images/q/a.jpg"):
        data.read(tmp_path, format=format)


@pytest.mark.parametrize("format", ["voc", "csv", "coco"])
def test_values_images_that_differ_by_ending_alone(tmp_path, format):
    images = {
        ending: save_image(tmp_path / "images" / f"a.{ending}", seed=k) for k, ending in enumerate(("jpg", "png"))
    }
    if format == "voc":
        (tmp_path / "Annotations").mkdir()
        (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(voc_object("cat", 2, 3, 9, 9), filename="a.png"))
        assert [each.image for each in data.read(tmp_path, format=format)] == [images["png"]]
        (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(voc_object("cat", 2, 3, 9, 9), filename=""))
        with pytest.raises(DataError, match=r"a.jpg may be .*a.jpg, .*a.png"):
            data.read(tmp_path, format=format)
        return
    if format == "csv":
        rows = "images/a.jpg,1,2,9,9,cat\nimages/a.png,3,4,9,9,cat\n"
        (tmp_path / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{rows}")
    else:
        records = [{"id": k, "file_name": f"a.{ending}"} for k, ending in enumerate(("jpg", "png"))]
        rows = [{"id": k, "image_id": k, "category_id": 7, "bbox": [1 + 2 * k, 2, 3, 4]} for k in (0, 1)]
        coco_file(tmp_path / "a.json", records, rows)
    read = data.read(tmp_path, format=format)
    assert {each.name: (each.image, each.boxes_xyxy[0, 0]) for each in read} == {
        "a.jpg": (images["jpg"], 1),
        "a.png": (images["png"], 3),
    }
    data.write(read, tmp_path / "out", format)
    assert [a.name for a in data.read(tmp_path / "out")] == ["a.jpg", "a.png"]


def yolo(root, *images, **labels):
    for seed, image in enumerate(images):
        save_image(root / "images" / image, seed=seed)
    (root / "labels").mkdir()
    (root / "classes.txt").write_text("cat\n")
    return root / "labels"


def test_rejects_a_label_file_of_two_images(tmp_path):
    labels = yolo(tmp_path, "a.jpg", "a.png", "b.jpg")
    for name in "ab":
        (labels / f"{name}.txt").write_text("0 .5 .5 .5 .5\n")
    with pytest.raises(
        DataError, match=r"a.txt: it may be of .*a.jpg, .*a.png: call it a.jpg.txt where it is of a.jpg"
    ):
        data.read(tmp_path)
    assert [a.name for a in data.read(tmp_path, policy="drop")] == ["b"]


def test_values_a_label_file_with_the_full_name(tmp_path):
    labels = yolo(tmp_path, "a.jpg", "a.png", "b.jpg")
    (labels / "a.jpg.txt").write_text("0 .5 .5 .5 .5\n")
    (labels / "a.txt").write_text("0 .25 .25 .5 .5\n")
    (labels / "b.jpg.txt").write_text("0 .5 .5 .5 .5\n")
    read = data.read(tmp_path)
    assert {a.name: a.boxes_xyxy.tolist() for a in read} == {
        "a.jpg": [[15, 10, 45, 30]],
        "a.png": [[0, 0, 30, 20]],
        "b": [[15, 10, 45, 30]],
    }
    assert [p.what for p in read.problems] == ["a.jpg and a.png differ by ending alone, which their names keep"]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("A b.JPG", "a B.txt"),
        ("a.jpg", "a.TXT"),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.txt")),
    ],
)
def test_values_a_label_file_in_another_case_or_form(tmp_path, image, label):
    (yolo(tmp_path, image, "other.jpg") / label).write_text("0 .5 .5 .5 .5\n")
    read = data.read(tmp_path)
    assert {len(a) for a in read} == {0, 1}
    assert [p.what for p in read.problems] == [f"{LOOSELY}: {label} and {image}"]


# -- encodings ----------------------------------------------------------------------------------------

WRONG = "caf\xe9".encode("cp1252")


def test_rejects_text_in_another_encoding_by_file_and_line(tmp_path):
    save_image(tmp_path / "a.jpg")
    for name, text in {
        "b.csv": b"image,xmin,ymin,xmax,ymax,class\na.jpg,1,2,3,4,cat\na.jpg,1,2,3,4," + WRONG + b"\n",
        "b.json": b'{"images": [],\n"annotations": [],\n"categories": [{"id": 1, "name": "' + WRONG + b'"}]}\n',
    }.items():
        (tmp_path / name).write_bytes(text)
        with pytest.raises(
            DataError, match=rf"{name}:3: it cannot be read: it is not UTF-8 text.*0xe9.*Save it as UTF-8"
        ):
            data.read(tmp_path / name)


@pytest.mark.parametrize("name", ["labels/a.txt", "classes.txt", "data.yaml", "list.txt"])
def test_rejects_texts_of_yolo_in_another_encoding(tmp_path, name):
    (yolo(tmp_path, "a.jpg") / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "list.txt").write_text("images/a.jpg\n")
    if name != "classes.txt":
        (tmp_path / "data.yaml").write_text("train: list.txt\nnames: [cat]\n")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"# " + WRONG)
    line = 3 if name == "data.yaml" else 2
    with pytest.raises(ValueError, match=rf"{name}:{line}: it cannot be read: it is not UTF-8 text"):
        data.read(tmp_path)


def test_values_encodings_that_xml_declares(tmp_path):
    text = voc_xml(voc_object("café", 2, 3, 9, 9))
    voc_folder(tmp_path, {"a": text})
    for encoding in ("windows-1252", "iso-8859-1", "utf-16"):
        head = f"<?xml version='1.0' encoding='{encoding}'?>\n"
        (tmp_path / "Annotations" / "a.xml").write_bytes((head + text).encode(encoding))
        assert data.read(tmp_path).classes == ("café",)
    (tmp_path / "Annotations" / "a.xml").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=r"a.xml:3: .*it is not UTF-8 text and declares no other"):
        data.read(tmp_path)


ASIAN = {
    "gb2312": ("猫", b"\xc3\xa8"),
    "gbk": ("貓", b"\xd8\x88"),
    "gb18030": ("猫", b"\xc3\xa8"),
    "big5": ("貓", b"\xbf\xdf"),
    "shift_jis": ("犬", b"\x8c\xa2"),
    "euc-kr": ("개", b"\xb0\xb3"),
}


@pytest.mark.parametrize("encoding", ASIAN)
def test_values_encodings_of_several_bytes_that_xml_declares(tmp_path, encoding):
    name, encoded = ASIAN[encoding]
    text = voc_xml(voc_object("NAME", 2, 3, 9, 9))
    voc_folder(tmp_path, {"a": text})
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    (tmp_path / "Annotations" / "a.xml").write_bytes((head + text).encode("ascii").replace(b"NAME", encoded))
    dataset = data.read(tmp_path)
    assert dataset.classes == (name,)
    assert dataset[0].lines.tolist() == [4]
    (tmp_path / "Annotations" / "a.xml").write_bytes((head + text).encode("ascii").replace(b"NAME", b"\x81 "))
    with pytest.raises(DataError, match=f"a.xml:4: .*not text in the encoding {encoding} .*Save it as UTF-8"):
        data.read(tmp_path)


# -- class names and marks ----------------------------------------------------------------------------


def test_values_class_names_that_differ_by_case_are_two_and_told(tmp_path):
    objects = [voc_object(name, 2, 3, 9, 9) for name in ("Cat", "cat", "dog")]
    dataset = data.read(voc_folder(tmp_path, {"a": voc_xml(*objects)}))
    assert dataset.classes == ("Cat", "cat", "dog")
    [note] = dataset.problems
    assert str(note) == f"{tmp_path}: the classes 'Cat' and 'cat' differ only in case, and are two classes"


def test_values_white_space_around_categories_is_left_out(tmp_path):
    save_image(tmp_path / "a.jpg")
    annotations = [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 9, 9]}]
    coco_file(tmp_path / "a.json", annotations=annotations, categories=[{"id": 7, "name": " cat\n"}])
    dataset = data.read(tmp_path)
    assert dataset.classes == ("cat",)
    [note] = dataset.problems
    assert note.what == "white space around the name of a category is no part of it: ' cat\\n'"


@pytest.mark.parametrize("names", ["names: [cat, dog, cat]", "names: {0: cat, 1: dog, 2: cat}", None])
def test_rejects_class_names_that_occur_twice(tmp_path, names):
    (yolo(tmp_path, "a.jpg") / "a.txt").write_text("2 .5 .5 .5 .5\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\ncat\n")
    if names:
        (tmp_path / "data.yaml").write_text(f"train: images\n{names}\n")
    with pytest.raises(ValueError, match="each class needs a name of its own. Received: 'cat' is number 0 and 2"):
        data.read(tmp_path)
    assert data.read(tmp_path, classes=["cat", "dog", "cow"])[0].class_ids.tolist() == [2]


@pytest.mark.parametrize("format", ["voc", "csv"])
def test_rejects_lists_of_classes_with_a_name_twice(tmp_path, format):
    save_image(tmp_path / "images" / "é b.jpg")
    WRITERS[format](tmp_path, "é b.jpg")
    (tmp_path / "classes.txt").write_text("cat\ncat\n")
    with pytest.raises(ValueError, match=r"classes.txt: each class needs a name of its own"):
        data.read(tmp_path, format=format)
    assert data.read(tmp_path, format=format, classes=["cat"]).classes == ("cat",)


@pytest.mark.parametrize(
    ("key", "mark"), [("iscrowd", "crowd"), ("difficult", "difficult"), ("truncated", "truncated")]
)
@pytest.mark.parametrize(("value", "on", "known"), [(2, True, False), (-1, False, False), ("x", False, False)])
def test_values_marks_of_coco_never_cost_an_object(tmp_path, key, mark, value, on, known):
    row = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], key: value}
    save_image(tmp_path / "a.jpg")
    read = data.read(coco_file(tmp_path / "a.json", annotations=[row]))
    assert getattr(read[0], mark).tolist() == [on]
    assert [p.what for p in read.problems] == [f"{key} is {value!r}, taken for {int(on)}"]
    row[key] = json.loads("1")
    read = data.read(coco_file(tmp_path / "a.json", annotations=[row]))
    assert (getattr(read[0], mark).tolist(), len(read.problems)) == ([True], 0)
