"""Faulty data: every fault told with file and line, under each policy; hostile files refused."""

import json
import os
import pickle

import numpy as np
import pytest
from data_files import coco_file, save_image, voc_folder, voc_object, voc_xml
from PIL import Image

from keras_ssd import data
from keras_ssd.data import CsvLayout, DataError
from keras_ssd.data.sizes import check_sizes

GOOD = voc_object("cat", 2, 3, 30, 20)


def kinds(problems):
    return [(problem.kind, problem.line, problem.done) for problem in problems]


@pytest.fixture
def faulty(tmp_path):
    """One file with a box of each fault, on lines 3 to 9."""
    boxes = [(5, 6, 5, 6), (30, 6, 10, 20), (40, 20, 75, 30), (70, 50, 90, 60), (0, 1, 60, 40), (8, 8, 8, 20)]
    return voc_folder(tmp_path / "pets", {"a": voc_xml(GOOD, *(voc_object("dog", *box) for box in boxes))})


def test_rejects_faulty_boxes(faulty):
    with pytest.raises(DataError) as error:
        data.read(faulty)
    text = str(error.value)
    path = faulty / "Annotations" / "a.xml"
    assert text.startswith("5 faults in the data:\n")
    assert f"{path}:4: object 1 (dog): it has no area: xmin=5, ymin=6, xmax=5, ymax=6\n" in text
    assert f"{path}:5: object 2 (dog): its corners are swapped: xmin=30, ymin=6, xmax=10, ymax=20\n" in text
    assert f"{path}:6: object 3 (dog): it leaves the image of 60 x 40 pixels: xmin=40, ymin=20, xmax=75" in text
    assert f"{path}:7: object 4 (dog): it lies outside the image of 60 x 40 pixels" in text
    assert f"{path}:9: object 6 (dog): it has no area: xmin=8" in text
    assert "policy='drop'" in text


def test_values_drop_and_clip(faulty):
    (faulty / "Annotations" / "b.xml").write_text(voc_xml(GOOD, voc_object("dog", 8, 8, 8, 20), filename="b.jpg"))
    save_image(faulty / "JPEGImages" / "b.jpg", seed=1)
    dropped = data.read(faulty, policy="drop")
    assert [annotation.name for annotation in dropped] == ["b"]  # a box without area marks nothing, and goes alone
    np.testing.assert_array_equal(dropped[0].boxes_xyxy, [[1, 2, 30, 20]])
    assert kinds(dropped.problems) == [
        ("no area", 4, "left out"),
        ("no area", 9, "left out"),
        ("swapped", 5, "left out"),
        ("outside", 7, "left out"),
        ("outside", 6, "left out"),
        ("edge", 8, "clipped"),
        ("incomplete", 0, "image left out"),
        ("no area", 4, "left out"),
    ]
    assert "3 of the 7 objects of a are faulty" in str(dropped.problems)
    [whole] = data.check(faulty).splits.values()
    assert len(whole) == 2  # a check looks at what dropping would leave out
    assert [annotation.name for annotation in data.read(faulty, policy="clip")] == ["b"]
    file = faulty / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<xmin>70</xmin><ymin>50</ymin>", "<xmin>9</xmin><ymin>9</ymin>"))
    clipped = data.read(faulty, policy="clip")
    expected = [[1, 2, 30, 20], [9, 5, 30, 20], [39, 19, 60, 30], [8, 8, 60, 40], [0, 0, 60, 40]]
    np.testing.assert_array_equal(clipped[0].boxes_xyxy, expected)
    assert ("swapped", 5, "mended") in kinds(clipped.problems)
    assert ("outside", 6, "clipped") in kinds(clipped.problems)
    assert ("outside", 7, "clipped") in kinds(clipped.problems)


def test_rejects_boxes_of_bccd_by_name(shared):
    with pytest.raises(DataError) as error:
        data.read(shared("data", "bccd"))
    assert str(error.value).startswith("2 faults")
    for place in ("BloodImage_00338.xml:163: object 12 (RBC)", "BloodImage_00343.xml:55: object 3 (RBC)"):
        assert f"{place}: it has no area" in str(error.value)
    found = data.read(shared("data", "bccd"), policy="drop").problems
    assert [problem.image for problem in found] == ["BloodImage_00338", "BloodImage_00343"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty (0 bytes)."),
        (b"<html>404</html>", "it is a web page, no image. It may be what a server sent instead of the image."),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n",
            "it is a pointer of Git LFS, which stands for the image, no image. Fetch the image with `git lfs pull`.",
        ),
        (bytes(20), f"it begins with {bytes(16)!r}. It may be damaged."),
    ],
    ids=["empty", "page", "pointer", "zeros"],
)
@pytest.mark.parametrize("size", [(60, 40), None], ids=["sized", "unsized"])
def test_rejects_files_that_are_no_images(tmp_path, content, what, size):
    text = voc_xml(GOOD)
    text = text if size else text.replace("<width>60</width><height>40</height>", "")
    root = voc_folder(tmp_path, {"a": text, "b": voc_xml(GOOD, filename="b.jpg")})
    (root / "JPEGImages" / "a.jpg").write_bytes(content)
    [problem] = data.read(root, policy="drop").problems.faults
    assert (problem.kind, problem.image) == ("broken image", "a")
    assert problem.what.endswith(what)


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]>\n<annotation>&y;</annotation>'
ELSEWHERE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        (BOMB, "declares a document type", 1),
        (ELSEWHERE, "declares a document type", 1),
        ("<annotation>\n<object>", "it is not XML", 2),
        ("", "it is not XML", 1),
        ("<html></html>", "expected <annotation>, and found <html>", 1),
        ("<a>" * 40, "nests deeper than 32", 1),
        (
            '<?xml version="1.0" encoding="wrong"?><annotation/>',
            "the encoding wrong, which is not known. Save it as UTF-8",
            1,
        ),
        ('<?xml version="1.0" encoding="gbk"?>' + ELSEWHERE, "declares a document type", 1),
        ('<?xml version="1.0" encoding="zip"?><annotation/>', "the encoding zip, which is not known", 1),
        ("<annotation>&x;</annotation>", "it is not XML", 1),
    ],
)
def test_rejects_xml(tmp_path, text, what, line):
    root = voc_folder(tmp_path, {"a": voc_xml(GOOD), "b": text})
    with pytest.raises(DataError, match=what) as error:
        data.read(root)
    [problem] = error.value.problems
    assert (problem.kind, problem.file, problem.line) == ("file", str(root / "Annotations" / "b.xml"), line)
    assert len(data.read(root, policy="drop")) == 1


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("<object><bndbox/></object>", "it has no <name>"),
        ("<object><name>cat</name></object>", "it has no <bndbox>"),
        (
            "<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>",
            "ymin must be a finite number, and is miss",
        ),
        (voc_object("cat", 1, "nan", 3, 4), "ymin must be a finite number, and is 'nan'"),
        (voc_object("cat", 1, 2, "1e999", 4), "xmax must be a finite number"),
        (voc_object("cat", 1, 2, "9" * 70, 4), "xmax must be a finite number"),
    ],
)
def test_rejects_objects_of_voc(tmp_path, entry, what):
    root = voc_folder(tmp_path, {"a": voc_xml(GOOD, entry), "b": voc_xml(GOOD)})
    with pytest.raises(DataError, match=what):
        data.read(root)
    read = data.read(root, policy="drop")
    assert [annotation.name for annotation in read] == ["b"]
    assert kinds(read.problems)[1:] == [("incomplete", 0, "image left out")]
    assert read.problems[0].kind == "entry"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"categories": []}, "its list of categories is empty"),
        ({"categories": None}, "it has no list of 'categories'|it has no list of categories"),
        ({"categories": [{"id": 1}]}, "category 0 needs an id and a name"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            "category 1 has the id 1, which another has",
        ),
    ],
)
def test_rejects_json_without_categories(tmp_path, change, what):
    path = coco_file(tmp_path / "a.json")
    save_image(tmp_path / "a.jpg")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=what):
        data.read(path, policy="drop")


@pytest.mark.parametrize(
    ("text", "line"), [("{", 1), ("[]", 0), ("[" * 100_000, 0), ('{"images": 1}', 0), ("\n\nx", 3)]
)
def test_rejects_json(tmp_path, text, line):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read") as error:
        data.read(tmp_path / "a.json", policy="drop")
    assert error.value.problems[0].line == line


def test_rejects_entries_of_coco(tmp_path):
    def row(key, **changes):
        return {"id": key, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], **changes}

    rows = [row(1), row(2, category_id=0), row(3, category_id=[1]), row(4, image_id=5), row(5, bbox=[1, 2, 3])]
    rows += [row(6, bbox=[1, 2, float("nan"), 4]), row(7, bbox=None), row(1), row(1, bbox=[5, 6, 7, 8]), 3]
    rows += [row(8, bbox=[1, 2, -3, 4]), row(9, bbox=[1, 2, 0, 4]), row(10, bbox=["1", True, 2, 2])]
    images = [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}, {"id": 1, "file_name": "b.jpg"}]
    images += [{"id": 2, "file_name": "a.jpg"}, {"id": 3, "file_name": "../a.jpg"}, {"id": 4, "file_name": "gone.jpg"}]
    images += [{"file_name": "c.jpg"}, {"id": 6, "file_name": "z.jpg"}]
    rows += [row(20, image_id=6)]
    path = coco_file(tmp_path / "a.json", images, rows)
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "z.jpg")
    read = data.read(path, policy="drop")
    assert [annotation.name for annotation in read] == ["z"]
    assert "6 of the 9 objects of a are faulty" in str(read.problems)
    np.testing.assert_array_equal(data.check(path).splits["a"]["a"].boxes_xyxy, [[1, 2, 4, 6], [5, 6, 12, 14]])
    expected = {"entry": 6, "label": 2, "no area": 2, "swapped": 1, "missing image": 1, "duplicate id": 5}
    expected |= {"incomplete": 1}
    assert read.problems.counts() == expected
    said = str(read.problems)
    assert "annotation 2 of a: there is no category with the id 0" in said
    assert "annotation id 1 occurs twice (left out)" in said
    assert "annotation id 1 occurs twice (kept)" in said


def test_rejects_labels_of_yolo(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir()
    lines = ["0 .5 .5 .2 .2", "2 .5 .5 .2 .2", "-1 .5 .5 .2 .2", "0.5 .5 .5 .2 .2", "0 .5 .5 .2", "0 .5 nan .2 .2"]
    lines += ["0 .5 .5 .2 .2 .9", "0 .5 .5 0 .2", "0 .9 .9 .4 .4", "cat .5 .5 .2 .2"]
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="nothing names the classes"):
        data.read(tmp_path)
    save_image(tmp_path / "images" / "b.jpg", seed=1)
    read = data.read(tmp_path, classes=["cat", "dog"], policy="drop")
    assert [annotation.name for annotation in read] == ["b"]  # never had objects
    expected = [(2, "label"), (3, "label"), (4, "label"), (5, "entry"), (6, "entry"), (7, "entry"), (10, "label")]
    assert [(p.line, p.kind) for p in read.problems] == [
        *expected,
        (8, "no area"),
        (9, "outside"),
        (0, "incomplete"),
        (0, "no objects"),
    ]
    assert "none of 0..1 (cat, dog" in str(read.problems)


def test_rejects_csv(tmp_path):
    save_image(tmp_path / "a.jpg")
    path = tmp_path / "b.csv"
    path.write_text("a.jpg,1,2,3,4,cat,0\n")
    with pytest.raises(
        ValueError, match=r"its first line does not say where to find the image.*and the box.*CsvLayout"
    ):
        data.read(path)
    path.write_text("")
    with pytest.raises(ValueError, match="first line does not say"):
        data.read(path)
    path.write_text('image,xmin,ymin,xmax,ymax,class\na.jpg,1,2,3,4,"cat\n')
    with pytest.raises(DataError, match="unexpected end of data"):
        data.read(path)
    path.write_text(
        "image,xmin,ymin,xmax,ymax,class\na.jpg,1,2,9,9,cat\na.jpg,1\na.jpg,1,x,3,4,cat\ngone.jpg,1,2,3,4,cat\nb.jpg,1,2,9,9,cat\n"
    )
    save_image(tmp_path / "b.jpg", seed=1)
    read = data.read(path, policy="drop")
    assert [annotation.name for annotation in read] == ["b"]
    expected = [("entry", 3), ("entry", 4), ("missing image", 5), ("incomplete", 0)]
    assert [(p.kind, p.line) for p in read.problems] == expected


def test_rejects_label_zero_of_ssd_keras(tmp_path):
    save_image(tmp_path / "a.jpg")
    path = tmp_path / "b.csv"
    path.write_text("frame,xmin,xmax,ymin,ymax,class_id\na.jpg,1,9,1,9,1\na.jpg,2,9,1,9,0\na.jpg,3,9,1,9,3\n")
    with pytest.raises(DataError, match="0 is the background") as error:
        data.read(path, classes=["car", "truck"])
    assert [(p.kind, p.line) for p in error.value.problems] == [("label", 4), ("label", 3)]
    assert "class number 3 is beyond the 2 classes" in str(error.value)
    with pytest.raises(DataError):
        data.read(path, classes=["car", "truck"], csv=CsvLayout(first_label=0))


def test_rejects_what_holds_no_data(tmp_path):
    (tmp_path / "sets" / "one").mkdir(parents=True)
    voc_folder(tmp_path / "sets" / "two", {"a": voc_xml(GOOD)})
    with pytest.raises(FileNotFoundError, match="Did you mean .*sets"):
        data.read(tmp_path / "set")
    with pytest.raises(ValueError, match="holds no data that can be read"):
        data.read(tmp_path / "sets" / "one")
    coco_file(tmp_path / "sets" / "two" / "a.json")
    with pytest.raises(ValueError, match="several formats: voc and coco"):
        data.read(tmp_path / "sets" / "two")
    assert data.read(tmp_path / "sets" / "two", format="voc").format == "voc"
    with pytest.raises(ValueError, match="policy must be one of 'error', 'drop', 'clip'"):
        data.read(tmp_path / "sets" / "two", format="voc", policy="skip")


def test_rejects_unknown_labels_and_missing_images(tmp_path):
    root = voc_folder(tmp_path, {"a": voc_xml(GOOD, voc_object("dgo", 1, 1, 9, 9)), "b": voc_xml(GOOD)}, ["a"])
    with pytest.raises(DataError, match="Unknown class 'dgo'. Did you mean 'dog'") as error:
        data.read(root, classes=["cat", "dog"])
    assert "b.xml: there is no image a.jpg" not in str(error.value)  # the file says a.jpg, which is there
    os.unlink(root / "JPEGImages" / "a.jpg")
    with pytest.raises(DataError, match=r"2 faults(.|\n)*there is no image a.jpg"):
        data.read(root, policy="drop")


def test_rejects_an_image_of_another_size(tmp_path):
    root = voc_folder(tmp_path, {"a": voc_xml(GOOD, size=(30, 40))})
    what = f"the image {root / 'JPEGImages' / 'a.jpg'} is 60 x 40 pixels, and its annotation says 30 x 40"
    place = root / "Annotations" / "a.xml"
    with pytest.raises(DataError, match="1 fault") as error:
        data.read(root)
    assert f"{place}: {what}\n" in str(error.value)
    assert [str(problem) for problem in data.check(root).problems.faults] == [f"{place}: {what}"]
    dataset = data.read(root, decode=False)
    with pytest.raises(ValueError, match="Correct the size and the boxes") as error:
        data.Sample.of(dataset[0])
    assert str(error.value).startswith(f"{place}: {what}. ")
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    with pytest.raises(ValueError, match="Correct the size and the boxes") as stated:
        check_sizes(dataset)
    assert str(stated.value) == str(error.value)


def test_values_size_as_viewers_show_it(tmp_path):
    root = voc_folder(tmp_path, {"a": voc_xml(GOOD, size=(0, 0))})
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "JPEGImages" / "a.jpg") as image:
        image.save(root / "JPEGImages" / "a.jpg", exif=exif)
    read = data.read(root)
    assert read[0].size_hw == (60, 40) == data.Sample.of(read[0]).size_hw


def test_values_dictionaries_that_lose_an_object():
    image = np.zeros((40, 60, 3), "uint8")
    good, bad = [[1, 2, 9, 9]], [[1, 2, 9, 9], [5, 5, 99, 99]]
    source = [{"images": image, "bounding_boxes": {"boxes": b, "labels": [0] * len(b)}} for b in (bad, good)]
    for policy, expected in (("drop", [("1", 1)]), ("clip", [("0", 2), ("1", 1)])):
        found = data.from_dictionaries(source, ["cat"], policy=policy)
        assert [(annotation.name, len(annotation)) for annotation in found] == expected
