"""Readers and writers: literals by hand, every format read back equal, real data."""

import dataclasses
import json

import numpy as np
import pytest
from data_files import CLASSES, awkward_dataset, coco_file, save_image, voc_folder, voc_object, voc_xml

from keras_ssd import data
from keras_ssd.data import CsvLayout, DataError
from keras_ssd.data.reading import WRITTEN
from keras_ssd.data.writing import WITHOUT_MARKS


def test_values_voc(tmp_path):
    marks = "<truncated>1</truncated><difficult>1</difficult>"
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    text = voc_xml(voc_object("dog", 1, 1, 60, 40), voc_object("cat", 8, 12, 20.5, 30, more=marks + part))
    read = data.read(voc_folder(tmp_path / "pets", {"a": text}))
    assert (read.name, read.format, read.classes, len(read)) == ("pets", "voc", ("cat", "dog"), 1)
    [annotation] = read
    np.testing.assert_array_equal(annotation.boxes_xyxy, [[0, 0, 60, 40], [7, 11, 20.5, 30]])
    np.testing.assert_array_equal(annotation.class_ids, [1, 0])
    np.testing.assert_array_equal(annotation.difficult, [False, True])
    np.testing.assert_array_equal(annotation.truncated, [False, True])
    assert annotation.size_hw == (40, 60)
    assert annotation.lines.tolist() == [3, 4]
    assert annotation.image == str(tmp_path / "pets" / "JPEGImages" / "a.jpg")


def test_values_voc_lists_are_splits_that_share_classes(tmp_path):
    files = {"a": voc_xml(voc_object("dog", 2, 2, 9, 9)), "b": voc_xml(voc_object("ant", 2, 2, 9, 9))}
    root = voc_folder(tmp_path, files)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("b\n\na\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("a\n")
    (root / "ImageSets" / "Main" / "dog_train.txt").write_text("a  1\nb -1\n")
    val = data.read(root, "val")
    assert (val.classes, val[0].class_ids.tolist(), val.splits) == (("ant", "dog"), [1], ("train", "val"))
    assert [annotation.name for annotation in data.read(root, "train")] == ["b", "a"]
    with pytest.raises(ValueError, match="Unknown split 'vall'. Did you mean 'val'"):
        data.read(root, "vall")


@pytest.mark.parametrize(
    ("said", "what"),
    [("b.jpg", "another image"), ("lost.jpg", "an image that is not there")],
    ids=["exchanged", "lost"],
)
def test_values_voc_tells_of_files_that_name_another_image(tmp_path, said, what):
    objects = voc_object("dog", 2, 2, 9, 9)
    root = voc_folder(tmp_path, {"a": voc_xml(objects, filename=said), "b": voc_xml(objects, filename="b.jpg")})
    read = data.read(root)
    taken = str(root / "JPEGImages" / "a.jpg")
    assert read[0].image == taken
    note = f"an xml file names {what}: the image of the xml file's own name is taken: {taken}, not {said}"
    assert [str(problem) for problem in read.problems] == [f"{root / 'Annotations' / 'a.xml'}:1: {note}"]


def test_values_voc_links_to_the_folder_itself_are_no_splits(tmp_path):
    voc_folder(tmp_path / "train", {"a": voc_xml(voc_object("dog", 2, 2, 9, 9))})
    (tmp_path / "again").symlink_to(tmp_path / "train")
    splits = data.read_splits(tmp_path)
    assert [*splits] == ["train"]
    note = f"{tmp_path / 'again'}: it is a link to {tmp_path / 'train'}, whose images are read already"
    assert [str(problem) for problem in splits["train"].problems] == [note]


def test_values_voc_lists_name_what_has_no_xml_file(tmp_path):
    root = voc_folder(tmp_path, {"a": voc_xml(voc_object("dog", 2, 2, 9, 9))})
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n\nb\n")
    (lists / "test.txt").write_text("c\nd\n")
    fault = f"{lists / 'train.txt'}:3: there is no annotation {root / 'Annotations' / 'b.xml'}"
    for split in (None, "train"):
        with pytest.raises(DataError, match="1 fault in the data") as error:
            data.read(root, split)
        assert fault in str(error.value)
        dropped = data.read(root, split, policy="drop")
        assert [annotation.name for annotation in dropped] == ["a"]
        assert [str(problem) for problem in dropped.problems.faults] == [f"{fault} (left out)"]
    notes = data.read(root, policy="drop").problems.notes
    test_list = f"{lists / 'test.txt'}: none of the 2 images of the split 'test' has an xml file"
    assert [str(note) for note in notes] == [test_list]
    with pytest.raises(DataError, match="2 faults"):
        data.read(root, "test")


def test_values_coco(tmp_path):
    rows = [
        {"id": 5, "image_id": 1, "category_id": 9, "bbox": [10, 20, 30, 15.5], "area": 100.0, "iscrowd": 0},
        {"id": 6, "image_id": 1, "category_id": 7, "bbox": [0, 0, 60, 40], "iscrowd": 1},
    ]
    coco_file(tmp_path / "annotations" / "instances_val.json", annotations=rows)
    save_image(tmp_path / "val" / "a.jpg")
    read = data.read(tmp_path)
    [annotation] = read
    assert (read.classes, read.category_ids, read.splits) == (("cat", "dog"), (7, 9), ("val",))
    np.testing.assert_array_equal(annotation.boxes_xyxy, [[10, 20, 40, 35.5], [0, 0, 60, 40]])
    np.testing.assert_array_equal(annotation.areas, [100, 2400])
    assert annotation.crowd.tolist() == [False, True]
    assert (annotation.class_ids.tolist(), annotation.lines.tolist(), annotation.image_id) == ([1, 0], [5, 6], 1)
    assert data.Sample.of(annotation).difficult.tolist() == [False, True]


YAML = """\
# comment
path: ../here   # not there: the file's own folder counts
train: ../train/images
val: valid/images
nc: 2
names: ['cat', "big # dog"]
roboflow:
  workspace: x
"""


def test_values_yolo(tmp_path):
    (tmp_path / "data.yaml").write_text(YAML)
    save_image(tmp_path / "train" / "images" / "one.jpg", (40, 60))
    save_image(tmp_path / "valid" / "images" / "two.jpg", (40, 60), seed=1)
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "one.txt").write_text("1 0.5 0.5 0.5 0.25\n\n0 0.25 0.5 0.5 0.5 0.5 0.75 0.25 1\n")
    (tmp_path / "valid" / "labels").mkdir()
    (tmp_path / "valid" / "labels" / "two.txt").write_text("")
    read = data.read_splits(tmp_path / "data.yaml")
    assert read["train"].classes == ("cat", "big # dog")
    [annotation] = read["train"]
    np.testing.assert_array_equal(annotation.boxes_xyxy, [[15, 15, 45, 25], [15, 20, 30, 40]])
    assert (annotation.name, annotation.class_ids.tolist(), annotation.lines.tolist()) == ("one", [1, 0], [1, 3])
    assert [len(annotation) for annotation in read["val"]] == [0]


def test_values_csv_of_ssd_keras(tmp_path):
    save_image(tmp_path / "f.jpg")
    (tmp_path / "labels.csv").write_text("frame,xmin,xmax,ymin,ymax,class_id\nf.jpg,3,30,4,20,1\nf.jpg,0,60,0,40,2\n")
    read = data.read(tmp_path, classes=["car", "truck"])
    np.testing.assert_array_equal(read[0].boxes_xyxy, [[3, 4, 30, 20], [0, 0, 60, 40]])
    assert read[0].class_ids.tolist() == [0, 1]
    (tmp_path / "labels.csv").write_text("f.jpg,3,30,4,20,0\n")
    layout = CsvLayout(data.formats.table.SSD_KERAS_COLUMNS, first_label=0)
    assert data.read(tmp_path, classes=["car"], csv=layout)[0].class_ids.tolist() == [0]


@pytest.mark.parametrize(
    ("header", "row", "box"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "f.jpg,60,40,cat,3,4,30,20", [3, 4, 30, 20]),
        ("ImageID,Source,LabelName,XMin,XMax,YMin,YMax", "f,x,cat,0.25,0.5,0.125,1", [15, 5, 30, 40]),
        ("image;x;y;width;height;label", "f.jpg;3;4;27;16;cat", [3, 4, 30, 20]),
        ("path,x1,y1,x2,y2,class_name", "f.jpg,3,4,30,20,cat", [3, 4, 30, 20]),
    ],
)
def test_values_csv_by_header(tmp_path, header, row, box):
    save_image(tmp_path / "images" / "f.jpg")
    (tmp_path / "boxes.csv").write_text(f"{header}\n{row}\n")
    read = data.read(tmp_path / "boxes.csv")
    np.testing.assert_array_equal(read[0].boxes_xyxy, [box])
    assert read.classes == ("cat",)


@pytest.mark.parametrize("format", WRITTEN)
def test_roundtrip_every_format(tmp_path, format):
    given = awkward_dataset(tmp_path / "images")
    written = data.write({"train": given[:2], "test": given[2:]}, tmp_path / "out", format)
    crowd = 1 if format in WITHOUT_MARKS else 0
    assert (written.images, written.objects) == (4, given.num_objects - crowd)
    back = data.read_splits(tmp_path / "out")
    expected = given
    if format in WITHOUT_MARKS:
        plain = [dataclasses.replace(a[~a.crowd], difficult=None, truncated=None, crowd=None) for a in given]
        expected = dataclasses.replace(given, annotations=plain)
        assert [problem.what[:24] for problem in written.problems][:1] == ["1 objects are marked as "]
    order = [1, 0, 2, 3] if format == "yolo" else [0, 1, 2, 3]  # folders have no order of their own
    assert back["train"] == expected[order[:2]]
    assert back["test"] == expected[order[2:]]
    assert back["train"].classes == CLASSES
    assert not back["train"].problems
    whole = data.read(tmp_path / "out")
    assert {annotation.name for annotation in whole} == {annotation.name for annotation in given}


@pytest.mark.parametrize("format", WRITTEN)
def test_roundtrip_of_one_dataset(tmp_path, format):
    given = awkward_dataset(tmp_path / "images").filter(crowd=False)
    given = dataclasses.replace(
        given, annotations=[dataclasses.replace(a, difficult=None, truncated=None) for a in given]
    )
    data.write(given, tmp_path / "out", format, images="link")
    back = data.read(tmp_path / "out")
    assert sorted(back, key=lambda a: a.name) == sorted(given, key=lambda a: a.name)


def test_roundtrip_keeps_ids_of_coco(tmp_path):
    rows = [{"id": 5, "image_id": 1, "category_id": 9, "bbox": [10.1, 0.2, 0.3, 0.7], "area": 0.125}]
    coco_file(tmp_path / "in" / "a.json", annotations=rows)
    save_image(tmp_path / "in" / "a.jpg")
    data.write(data.read(tmp_path / "in" / "a.json"), tmp_path / "out", "coco")
    written = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    assert [row["id"] for row in written["categories"]] == [7, 9]
    [row] = written["annotations"]
    assert (row["image_id"], row["category_id"], row["bbox"], row["area"]) == (1, 9, [10.1, 0.2, 0.3, 0.7], 0.125)


def test_values_names_never_leave_the_folder(tmp_path):
    image = save_image(tmp_path / "p.png")
    names = ["../../evil", "/etc/x", "a\\..\\b:c", "A", "a"]
    annotations = [data.Annotation(name, image, [[1, 1, 9, 9]], [0], (40, 60)) for name in names]
    data.write(data.Dataset("x", ("cat",), annotations), tmp_path / "deep" / "out", "voc")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.xml"))
    expected = ["A.xml", "a/b_c.xml", "a_2.xml", "etc/x.xml", "evil.xml"]
    assert files == [f"deep/out/Annotations/{name}" for name in expected]


def test_rejects_what_voc_cannot_hold(tmp_path):
    image = save_image(tmp_path / "p.png")
    given = data.Dataset("x", ("cat",), [data.Annotation("p", image, [[3, 4, 4, 8], [1, 1, 9, 9]], [0, 0], (40, 60))])
    with pytest.raises(DataError, match=r"one pixel or less in width or height: \(3, 4, 4, 8\)"):
        data.write(given, tmp_path / "out", "voc")
    assert not (tmp_path / "out").exists()
    assert data.write(given, tmp_path / "out", "voc", policy="drop").objects == 1
    with pytest.raises(ValueError, match="is there already"):
        data.write(given, tmp_path / "out", "coco")


def test_rejects_nothing_half_written(tmp_path):
    given = awkward_dataset(tmp_path / "images")
    (tmp_path / "images" / "none.png").unlink()
    with pytest.raises(FileNotFoundError):
        data.write(given, tmp_path / "out", "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_values_real_data(shared, tmp_path):
    bccd = data.read(shared("data", "bccd"), policy="drop")
    assert (len(bccd), bccd.num_objects, bccd.classes) == (364, 4886, ("Platelets", "RBC", "WBC"))
    coco = data.read(shared("data", "coco_sample"))
    assert (len(coco), coco.num_objects, len(coco.classes)) == (128, 939, 80)
    assert sum(annotation.crowd.sum() for annotation in coco) == 10
    voc = data.read(shared("data", "voc2007_sample"))
    np.testing.assert_array_equal(voc["000001"].boxes_xyxy, [[47, 239, 195, 371], [7, 11, 352, 498]])
    data.write({"test": coco}, tmp_path / "out", "voc", images="none")
    again = data.read(tmp_path / "out", "test", images=shared("data", "coco_sample", "images"))
    assert (again.annotations, again.classes) == (coco.annotations, coco.classes)
