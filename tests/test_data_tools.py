"""What labelling tools export as VOC and CSV (YOLO: test_data_yolo.py): one small file a tool, its boxes and classes.

Each file is made by hand from the tool's documentation.
"""

import json

import numpy as np
import pytest
from data_files import save_image

from keras_ssd import data
from keras_ssd.data import DataError

VOC_BOX = [9, 9, 40, 30]  # pixels 10..40 and 10..30, counted from 1
BNDBOX = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"


def found(dataset):
    """Name -> [(class, box)] of all images."""
    return {
        a.name: [(dataset.classes[c], np.round(b, 2).tolist()) for c, b in zip(a.class_ids, a.boxes_xyxy, strict=True)]
        for a in dataset
    }


def assumed(dataset):
    return [problem.what for problem in dataset.problems.of_kind("assumed")]


# -- VOC ----------------------------------------------------------------------------------------------


def voc(root, objects, head="<filename>a.jpg</filename>", folders=("Annotations", "JPEGImages")):
    save_image(root / folders[1] / "a.jpg")
    (root / folders[0]).mkdir(exist_ok=True)
    (root / folders[0] / "a.xml").write_text(f"<annotation>{head}{objects}</annotation>")
    return root


LABELIMG = (
    "<folder>shots</folder><filename>a.jpg</filename><path>C:\\Users\\me\\shots\\a.jpg</path><source><database>Unknown"
    "</database></source><size><width>60</width><height>40</height><depth>3</depth></size><segmented>0</segmented>"
)
VOTT = "<annotation verified='yes'/><filename>a.jpg</filename><path>file:/home/me/a.jpg</path>"
CVAT = (
    "<name>nut</name><occluded>0</occluded><attributes><attribute><name>rotation</name><value>0.0</value></attribute>"
    f"</attributes>{BNDBOX}<truncated>0</truncated><difficult>0</difficult>"
)
ROBOFLOW = (
    f"<name>nut</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><occluded>0</occluded>"
    f"{BNDBOX}<polygon><x1>10</x1><y1>10</y1><x2>40</x2><y2>10</y2><x3>25</x3><y3>30</y3></polygon>"
)
POLYGON = "<name>nut</name><polygon><x1>10</x1><y1>20</y1><x2>40</x2><y2>10</y2><x10>25</x10><y10>30</y10></polygon>"
LABELME = (
    "<name>nut</name><polygon><username>me</username><pt><x>10</x><y>10</y></pt><pt><x>40</x><y>12</y></pt>"
    "<pt><x>20</x><y>30</y></pt></polygon>"
)
TURNED = (
    "<name>nut</name><robndbox><cx>25</cx><cy>20</cy><w>20</w><h>30</h><angle>1.5707963267948966</angle></robndbox>"
)


@pytest.mark.parametrize(
    ("head", "entry", "box", "notes"),
    [
        (LABELIMG, f"<name>nut</name><pose>Unspecified</pose><Difficult>0</Difficult>{BNDBOX}", VOC_BOX, 0),
        (VOTT, f"<name>nut</name>{BNDBOX.replace('10', '10.25')}", [9.25, 9.25, 40, 30], 0),
        ("<filename>other.jpg</filename>", CVAT, VOC_BOX, 1),
        ("", ROBOFLOW, VOC_BOX, 0),
        ("<size><width>0</width><height>0</height></size>", POLYGON, VOC_BOX, 1),
        ("", LABELME, VOC_BOX, 1),
        ("", TURNED, [9, 9, 40, 30], 1),
        ("", f"<Name>nut</Name>{BNDBOX.replace('bndbox', 'BndBox').replace('xmin', 'Xmin')}", VOC_BOX, 0),
        ("", f"<name>nut</name><part><name>head</name>{BNDBOX}</part>{BNDBOX}", VOC_BOX, 0),
    ],
)
def test_values_voc_of_tools(tmp_path, head, entry, box, notes):
    dataset = data.read(voc(tmp_path, f"<object>{entry}</object>", head))
    assert found(dataset) == {"a": [("nut", box)]}
    assert len(dataset.problems) == notes


@pytest.mark.parametrize(
    ("mark", "value", "on", "known"),
    [
        ("difficult", "Unspecified", False, False),
        ("truncated", "Unspecified", False, False),
        ("truncated", "0.0597", True, False),
        ("truncated", "2", True, False),
        ("truncated", "-1", False, False),
        ("truncated", "nan", False, False),
        ("difficult", "True", True, True),
        ("difficult", "yes", True, True),
        ("difficult", "", False, True),
        ("Difficult", "1", True, True),
        ("crowd", "maybe", False, False),
    ],
)
@pytest.mark.parametrize("policy", ["error", "drop"])
def test_values_marks_never_cost_an_object(tmp_path, mark, value, on, known, policy):
    root = voc(tmp_path, f"<object><name>nut</name><{mark}>{value}</{mark}>{BNDBOX}</object>")
    dataset = data.read(root, policy=policy)
    assert found(dataset) == {"a": [("nut", VOC_BOX)]}
    assert getattr(dataset[0], mark.lower()).tolist() == [on]
    assert [what.startswith(f"<{mark}> is {value!r}, taken for {int(on)}") for what in assumed(dataset)] == (
        [] if known else [True]
    )
    assert ("assumptions" in data.check(root).text()) is not known


def test_values_voc_with_other_folders(tmp_path):
    for place, folders in enumerate((("labels", "data"), ("annotations", "images"), ("x", "x"))):
        root = voc(tmp_path / str(place), f"<object><name>nut</name>{BNDBOX}</object>", folders=folders)
        assert found(data.read(root)) == {"a": [("nut", VOC_BOX)]}


def test_values_voc_lists_with_endings(tmp_path):
    root = voc(tmp_path, f"<object><name>nut</name>{BNDBOX}</object>")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a.jpg\n")
    (root / "Annotations" / "a.xml").rename(root / "Annotations" / "a.XML")
    assert [*found(data.read(root, "train"))] == ["a"]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (f"<name>nut</name>{BNDBOX}{BNDBOX}", "it has 2 <bndbox>"),
        ("<name>nut</name><polygon><x1>1</x1><y1>1</y1></polygon>", "fewer than two points"),
        ("<name>nut</name><polygon><x1>1</x1><y1>1</y1><x2>9</x2></polygon>", "y of its <polygon> must be a finite"),
        ("<name>nut</name><robndbox><cx>1</cx></robndbox>", "cy must be a finite number"),
    ],
)
def test_rejects_outlines_of_voc(tmp_path, entry, what):
    with pytest.raises(DataError, match=what):
        data.read(voc(tmp_path, f"<object>{entry}</object>"))


def test_values_shared_marks(shared):
    root = shared("cases", "annotation_exports", "22-voc-odd-marks")
    for case, notes in {"fraction": 1, "level2": 1, "two": 1, "unspecified": 2, "zero": 0}.items():
        dataset = data.read(root / case, policy="drop")
        assert found(dataset)["a"] == [("n", [9, 9, 40, 50])], case
        assert len(assumed(dataset)) == notes, case


# -- CSV ----------------------------------------------------------------------------------------------

BOX = [10, 10, 40, 30]
VIA = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"


def via_row(shape, attributes, name="a.jpg"):
    cells = [name, "100", "{}", "1", "0", json.dumps(shape), json.dumps(attributes)]
    return ",".join('"' + cell.replace('"', '""') + '"' if "{" in cell else cell for cell in cells)


def csv_file(root, text, name="boxes.csv"):
    for seed, image in enumerate(("a.jpg", "b.jpg")):
        save_image(root / image, seed=seed)
    (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,40,nut,10,10,40,30\n", 0),  # TensorFlow
        ('"image","xmin","ymin","xmax","ymax","label"\n"a.jpg",10.0,10.0,40.0,30.0,"nut"\n', 0),  # VoTT
        ("/content/data/a.jpg,10,10,40,30,nut\nb.jpg,,,,,\n", 2),  # keras-retinanet
        ("a.jpg;10;10;40;30;nut\n", 1),
        ("nut,10,10,30,20,a.jpg,60,40\n", 1),  # makesense.ai
        ("UNASSIGNED,gs://bucket/a.jpg,nut,0.16666667,0.25,,,0.66666667,0.75,,\n", 3),  # AutoML
        ("gs://b/a.jpg,nut,0.16666667,0.25,0.66666667,0.25,0.66666667,0.75,0.16666667,0.75\n", 3),
        ('image_id,width,height,bbox,label\na,60,40,"[10.0, 10.0, 30.0, 20.0]",nut\n', 1),  # Kaggle
        ("image,box,class\na.jpg,10 10 30 20,nut\n", 1),
        ('image,bbox_xyxy,class\na.jpg,"(10, 10, 40, 30)",nut\n', 0),
        ("image,x_center,y_center,width,height,class\na.jpg,25,20,30,20,nut\n", 0),
        ("image,x_center,y_center,width,height,class\na.jpg,0.41666667,0.5,0.5,0.5,nut\n", 1),
        ("image,x,y,width,height,class\na.jpg,0.16666667,0.25,0.5,0.5,nut\n", 1),
        ("image_id,class_name,class_id,x_min,y_min,x_max,y_max\na,nut,3,10,10,40,30\nb,No finding,14,,,,\n", 1),
        ("image;xmin;ymin;xmax;ymax;class\na.jpg;10,0;10,0;40,0;30,0;nut\n", 0),
        ("image\tbbox_x\tbbox_y\tbbox_w\tbbox_h\tcategory_name\na.jpg\t10\t10\t30\t20\tnut\n", 0),
        (
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
            "a,xclick,nut,1,0.16666667,0.66666667,0.25,0.75,1,0,0,0,0\n",
            1,
        ),
        (f"{VIA}\n{via_row({'name': 'rect', 'x': 10, 'y': 10, 'width': 30, 'height': 20}, {'class': 'nut'})}\n", 1),
        (
            f"{VIA}\n"
            + via_row(
                {"name": "polygon", "all_points_x": [10, 40, 20], "all_points_y": [10, 20, 30]},
                {"type": {"nut": True, "bolt": False}},
            )
            + "\n"
            + via_row({}, {}, "b.jpg"),
            1,
        ),
        (f"{VIA}\n{via_row({'name': 'ellipse', 'cx': 25, 'cy': 20, 'rx': 15, 'ry': 10}, {'kind': 'nut'})}\n", 1),
        ("image,xmin,ymin,xmax,ymax,class\nC:\\Users\\me\\a.jpg,10,10,40,30,nut\n./a.jpg,10,10,40,31,nut\n", 1),
    ],
)
def test_values_csv_of_tools(tmp_path, text, notes):
    dataset = data.read(csv_file(tmp_path, text))
    [name, box] = found(dataset)["a"][0]
    assert (name, np.round(box, 1).tolist()) == ("nut", BOX)
    assert len(assumed(dataset)) == notes
    assert not dataset.problems.faults


def test_values_sets_of_a_column_are_splits(tmp_path):
    rows = "TRAIN,gs://b/a.jpg,nut,.1,.1,,,.5,.5,,\nVALIDATE,gs://b/b.jpg,nut,.2,.2,,,.5,.5,,\nTEST,gs://b/c.jpg,,,,,,,,,\n"
    save_image(tmp_path / "c.jpg", seed=5)
    root = csv_file(tmp_path, rows)
    splits = data.read_splits(root)
    assert {name: [*found(part)] for name, part in splits.items()} == {
        "train": ["a"],
        "validation": ["b"],
        "test": ["c"],
    }
    assert found(splits["train"])["a"] == [("nut", [6, 4, 30, 20])]
    assert len(data.read(root)) == 3
    csv_file(tmp_path, "image,xmin,ymin,xmax,ymax,class,split\na.jpg,10,10,40,30,nut,val\nb.jpg,1,2,9,9,nut,train\n")
    assert found(data.read(root, "val")) == {"a": [("nut", BOX)]}


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("image_id,x,y,width,height,Target\na,10,10,30,20,1\nb,,,,,0\n", 1),
        ('image_id,width,height,bbox,source\na,60,40,"[10.0, 10.0, 30.0, 20.0]",usask_1\n', 0),
        ("image,xmin,ymin,xmax,ymax\na.jpg,10,10,40,30\n", 0),
    ],
)
def test_values_csv_of_one_class(tmp_path, text, without):
    root = csv_file(tmp_path, text)
    with pytest.raises(ValueError, match=r"\(class or class_id\).*If all objects are of one class, pass classes="):
        data.read(root)
    dataset = data.read(root, classes=["wheat"])
    assert found(dataset)["a"] == [("wheat", BOX)]
    assert sum(not len(annotation) for annotation in dataset) == without


@pytest.mark.parametrize("name", ["train.txt", "_annotations.txt"])
def test_values_keras_yolo3(tmp_path, name):
    (tmp_path / "my shots").mkdir()
    save_image(tmp_path / "my shots" / "c d.jpg")
    lines = "a.jpg 10,10,40,30,0 1,2,9,9,1\nb.jpg\nmy shots/c d.jpg 5,6,7,8,1\n"
    root = csv_file(tmp_path, lines, name)
    boxes = {"a": [(0, BOX), (1, [1, 2, 9, 9])], "b": [], "my shots/c d": [(1, [5, 6, 7, 8])]}
    for classes in (("0", "1"), ("nut", "bolt")):
        if classes[0] == "nut":
            (tmp_path / "_classes.txt").write_text("nut\nbolt\n")
        for given in (root, root / name):
            dataset = data.read(given)
            assert found(dataset) == {name: [(classes[c], box) for c, box in rows] for name, rows in boxes.items()}
    assert dataset[0].lines.tolist() == [1, 1]
    (root / name).write_text(lines + "a.jpg 1,2,3,4\n")
    with pytest.raises(DataError, match=rf"{name}:4: "):
        data.read(root / name)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("annotation_id,annotator,created_at,id,image,label,lead_time\n", "CSV export of Label Studio: choose Export"),
        ("image_id,PredictionString\n", "Rename the columns in the file"),
        ("a.jpg,10,10,40\n", r"Pass csv=CsvLayout\(columns="),
    ],
)
def test_rejects_headers_with_advice(tmp_path, text, advice):
    with pytest.raises(ValueError, match=advice):
        data.read(csv_file(tmp_path, text))


def test_values_open_images(tmp_path):
    text = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsTruncated,IsGroupOf\na,/m/01,0.5,1.01,0,1,-1,1\n"
    text += "".join("b,/m/02,0.25,0.5,0.25,0.5,0,0\n" for _ in range(12))
    root = csv_file(tmp_path, text)
    (root / "class-descriptions-boxable.csv").write_text("/m/01,Apple\n/m/02,Pear\n")
    dataset = data.read(root, policy="clip")
    assert found(dataset)["a"] == [("Apple", [30, 0, 60, 40])]
    assert found(dataset)["b"][0] == ("Pear", [15, 10, 30, 20])
    assert (dataset["a"].crowd.tolist(), dataset["a"].truncated.tolist()) == ([True], [False])
    assert assumed(dataset)[0] == "truncated is '-1', taken for 0"
    assert [problem.kind for problem in dataset.problems][:1] == ["unused"]


def test_values_roboflow_csv_a_split(tmp_path):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,40,nut,10,10,40,30\n"
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        csv_file(tmp_path / split, text, "_annotations.csv")
    splits = data.read_splits(tmp_path, policy="drop")
    assert {name: found(part) for name, part in splits.items()} == {
        "train": {"a": [("nut", BOX)]},
        "valid": {"a": [("nut", BOX)]},
    }


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (via_row({"name": "point", "cx": 1, "cy": 2}, {"class": "nut"}), "its shape is 'point'"),
        (via_row({"name": "rect", "x": 1, "y": 2}, {"class": "nut"}), "width must be a finite number"),
        (via_row({"name": "circle", "cx": 9, "cy": 9, "r": 3}, {}), "it has no class"),
        (via_row({"name": "circle", "cx": 9, "cy": 9, "r": 3}, {"hue": "red", "kind": "nut"}), "hue, kind is known"),
        ('a.jpg,1,{},1,0,"{x",{}', "region_shape_attributes is no json"),
        ('a.jpg,1,{},1,0,"[1]",{}', "must be a json object"),
    ],
)
def test_rejects_regions_of_via(tmp_path, row, what):
    good = via_row({"name": "circle", "cx": 9, "cy": 9, "r": 3}, {"class": "nut"}, "b.jpg")
    root = csv_file(tmp_path, f"{VIA}\n{row}\n{good}\n")
    with pytest.raises(DataError, match=what):
        data.read(root)
    assert [*found(data.read(root, policy="drop"))] == ["b"]


def test_values_header_of_via_1(tmp_path):
    row = via_row({"name": "rect", "x": 10, "y": 10, "width": 30, "height": 20}, {"class": "nut"})
    root = csv_file(tmp_path, f"#{VIA}\n{row}\n")
    assert found(data.read(root)) == {"a": [("nut", BOX)]}


def test_rejects_rows_that_lose_something(tmp_path):
    rows = "a.jpg,10,10,40,30,nut, bolt\na.jpg,,,,,nut\nb.jpg,10,10,40,30,nut\n"
    root = csv_file(tmp_path, f"image,xmin,ymin,xmax,ymax,class\n{rows}")
    with pytest.raises(DataError) as error:
        data.read(root)
    assert [(p.line, p.what.split(",")[0]) for p in error.value.problems] == [
        (2, "it has 7 cells"),
        (3, "it has a class and no box"),
    ]
    dropped = data.read(root, policy="drop")
    assert [*found(dropped)] == ["b"]
    assert "2 of the 2 objects of a are faulty" in str(dropped.problems)
