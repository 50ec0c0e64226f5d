"""Json of tools that is no COCO: LabelMe, Create ML and VIA are read, other tools and formats are refused by name.

Each file is made by hand from the tool's documentation.
"""

import json

import numpy as np
import pytest
from data_files import coco_file, save_image

from keras_ssd import data
from keras_ssd.data import DataError

BOX = [10, 10, 40, 30]
CORNERS = [[40, 30], [10, 10]]  # as LabelMe writes a box that was drawn from its lower right corner


def found(dataset):
    """Name -> [(class, box)] of all images."""
    return {
        a.name: [(dataset.classes[c], np.round(b, 2).tolist()) for c, b in zip(a.class_ids, a.boxes_xyxy, strict=True)]
        for a in dataset
    }


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# -- LabelMe ------------------------------------------------------------------------------------------


def shape(points, kind="rectangle", label="nut", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme(path, *shapes, image="a.jpg", **more):
    size = {"imageHeight": 40, "imageWidth": 60}
    content = {"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None, **size, **more}
    return put(path, content)


@pytest.mark.parametrize(
    ("points", "kind", "box"),
    [
        (CORNERS, "rectangle", BOX),
        ([[10, 20], [25, 10], [40, 30]], "polygon", BOX),
        ([[20, 20], [26, 28]], "circle", [10, 10, 30, 30]),
        ([[25, 5], [45, 20], [35, 35], [15, 20]], "oriented rectangle", [15, 5, 45, 35]),
        ([[10, 10], [40, 30]], "mask", BOX),
        ([[10, 10], [20, 30], [40, 12]], "linestrip", BOX),
    ],
)
def test_values_labelme(tmp_path, points, kind, box):
    save_image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape(points, kind), shape(CORNERS, label="bolt", difficult=True))
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a": [("nut", box), ("bolt", BOX)]}
    assert (dataset.format, dataset.classes) == ("labelme", ("bolt", "nut"))
    assert dataset[0].difficult.tolist() == [False, True]
    assert found(data.read(tmp_path / "a.json")) == found(dataset)


def test_values_labelme_folders(tmp_path):
    """Splits as folders; jsons apart from the images; an image inside the json; a path of another machine."""
    for split, place in (("train", ""), ("val", "annotations/")):
        save_image(tmp_path / split / "a.jpg", seed=len(split))
        labelme(tmp_path / split / f"{place}a.json", shape(CORNERS), image="..\\shots\\a.jpg")
    labelme(tmp_path / "train" / "b.json", shape(CORNERS, label="bolt"), image="b.jpg", imageData="A" * 100_000)
    save_image(tmp_path / "train" / "b.jpg", seed=9)
    splits = data.read_splits(tmp_path)
    assert found(splits["train"]) == {"a": [("nut", BOX)], "b": [("bolt", BOX)]}
    assert [*found(splits["val"]).values()] == [[("nut", BOX)]]
    first = {"imageData": "A" * 100_000, "shapes": [shape(CORNERS)], "imagePath": "b.jpg"}
    put(tmp_path / "train" / "b.json", first)
    assert found(data.read(tmp_path, "train"))["b"] == [("nut", BOX)]


def test_rejects_faults_of_labelme(tmp_path):
    save_image(tmp_path / "a.jpg")
    bad = labelme(tmp_path / "a.json", shape([[1, "x"], [3, 4]]), shape([[5, 6]], "point"), shape(CORNERS), shape([]))
    labelme(tmp_path / "lost.json", shape(CORNERS), image="lost.jpg")
    with pytest.raises(DataError) as error:
        data.read(tmp_path)
    assert sorted(str(problem) for problem in error.value.problems.faults) == [
        f"{bad}: object 0 (nut): it has no area: xmin=5, ymin=6, xmax=5, ymax=6 (left out)",
        f"{bad}: object 0 of a: y must be a finite number, and is 'x' (left out)",
        f"{bad}: object 3 of a: it has no points (left out)",
        f"{tmp_path / 'lost.json'}: there is no image lost.jpg (left out)",
    ]


# -- Create ML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("image", "regions"), [("image", "annotations"), ("imagefilename", "annotation")])
def test_values_createml(tmp_path, image, regions):
    coordinates = {"x": 25, "y": 20, "width": 30, "height": 20}
    rows = [
        {image: "a.jpg", regions: [{"label": "nut", "coordinates": coordinates}]},
        {image: "b.jpg", regions: []},
    ]
    for split in ("train", "valid"):
        put(tmp_path / split / "_annotations.createml.json", rows)
        for seed, name in enumerate("ab"):
            save_image(tmp_path / split / f"{name}.jpg", seed=seed + len(split))
    splits = data.read_splits(tmp_path)
    expected = {"a": [("nut", BOX)], "b": []}
    assert {name: found(part) for name, part in splits.items()} == {"train": expected, "valid": expected}
    assert splits["train"].format == "createml"


def test_rejects_faults_of_createml(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [{"image": "a.jpg", "annotations": [{"label": "nut", "coordinates": {"x": 1}}]}]
    with pytest.raises(DataError, match="object 0 of a: y must be a finite number, and is missing"):
        data.read(put(tmp_path / "a.json", rows))
    with pytest.raises(DataError, match="an image needs the name of its file"):
        data.read(put(tmp_path / "a.json", [{"image": None, "annotations": []}]))


# -- VIA ----------------------------------------------------------------------------------------------

RECT = {"name": "rect", "x": 10, "y": 10, "width": 30, "height": 20}


def via(*regions):
    regions = [{"shape_attributes": each, "region_attributes": attributes} for each, attributes in regions]
    return {"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": regions, "file_attributes": {}}}


@pytest.mark.parametrize("kind", ["project", "export", "version 1"])
def test_values_via(tmp_path, kind):
    polygon = {"name": "polygon", "all_points_x": [10, 40, 20], "all_points_y": [10, 20, 30]}
    content = via((RECT, {"type": "nut"}), (polygon, {"type": {"bolt": True, "nut": False}}))
    if kind == "project":
        content = {"_via_settings": {"core": {}}, "_via_img_metadata": content, "_via_attributes": {}}
    if kind == "version 1":
        content["a.jpg123"]["regions"] = {str(place): r for place, r in enumerate(content["a.jpg123"]["regions"])}
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "via_region_data.json", content)
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a": [("nut", BOX), ("bolt", BOX)]}
    assert dataset.format == "via"


def test_values_via_without_attributes(tmp_path):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "via.json", via((RECT, {})))
    with pytest.raises(DataError, match=r"object 0 of a: it has no class\. If all objects are of one, pass classes="):
        data.read(tmp_path)
    assert found(data.read(tmp_path, classes=["balloon"])) == {"a": [("balloon", BOX)]}


# -- files that are not read --------------------------------------------------------------------------

SUPERVISELY = {"description": "", "tags": [], "size": {"height": 40, "width": 60}, "objects": [{"classTitle": "nut"}]}
DATUMARO = {"info": {}, "categories": {"label": {"labels": [{"name": "nut"}]}}, "items": [{"id": "a"}]}
KITTI = "Car 0.00 0 -1.5 10.0 10.0 40.0 50.0 1.5 1.6 3.9 1.0 1.5 20.0 -1.5\n"
DOTA = "imagesource:GoogleEarth\ngsd:0.1\n10.0 10.0 40.0 10.0 40.0 50.0 10.0 50.0 plane 0\n"
CAPTIONS = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a nut"}]}
RESULTS = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}]


@pytest.mark.parametrize(
    ("file", "content", "what", "advice"),
    [
        ("a.json", {"asset": {"name": "a.jpg"}, "regions": []}, "VoTT", "choose CSV or Pascal VOC"),
        ("ds0/ann/a.jpg.json", SUPERVISELY, "Supervisely", "Export to COCO"),
        ("via3.json", {"project": {"pid": "1", "vid_list": []}, "metadata": {}}, "VIA 3", "VIA 2"),
        ("annotations/train.json", DATUMARO, "Datumaro", "datum convert -i DIR -if datumaro -f coco"),
        ("labels.json", {"classes": ["nut"], "labels": {"a": []}}, "FiftyOne", "fiftyone convert"),
        ("bdd.json", [{"name": "a.jpg", "labels": [{"box2d": {}}]}], "BDD100K", "BDDDataset"),
        ("d.json", {"dataset": "x", "annotations": [{"bounding_box": {}}]}, "V7 Darwin", "export as COCO"),
        ("box.json", [{"data_row": {"id": "1"}}], "Labelbox", "a CSV file with the header image,width"),
        ("results.json", RESULTS, "a list of COCO results", "not annotations"),
        ("captions.json", CAPTIONS, "captions", "the instances json"),
        ("panoptic.json", {"annotations": [{"segments_info": []}]}, "panoptic", "the instances json"),
        ("data.jsonl", "{}\n", "json lines", "Convert it"),
        ("output.manifest", "{}\n", "json lines", "Convert it"),
        ("training.xml", "<?xml version='1.0'?><dataset><images/></dataset>", "imglab", "Convert it"),
        ("training/label_2/000000.txt", KITTI, "a label file of KITTI", "KITTIDetectionDataset"),
        ("labels/000000.txt", KITTI, "a label file of KITTI", "KITTIDetectionDataset"),
        ("labels/a.txt", DOTA, "DOTA", "datum convert -i DIR -if dota"),
        ("labelTxt/a.txt", DOTA, "DOTA", "datum convert -i DIR -if dota"),
        ("gt/gt.txt", "1,1,10,10,30,40,1,1,1.0\n", "MOT", "Convert it"),
        ("wider.txt", "0--P/a.jpg\n1\n10 10 30 40 0 0 0 0 0 0\n", "WIDER FACE", "-if wider_face"),
        ("Cat/Label/a.txt", "Cat 10.0 10.0 40.0 50.0\n", "OIDv4", "Convert it"),
        ("Labels/001/a.txt", "1\n10 10 40 50\n", "BBox-Label-Tool", "Convert it"),
        ("train/cells.tfrecord", "x", "a TFRecord file", "Roboflow"),
        ("a.parquet", "x", "a Parquet file", "Convert it"),
        ("a.pkl", "x", "a pickle", "Convert it"),
        ("a.mat", "x", "MATLAB", "Convert it"),
        ("a.xlsx", "x", "a spreadsheet", "Save it as CSV"),
        ("export.zip", "PK", "an archive", "Unpack it"),
    ],
)
def test_rejects_other_tools_by_name(tmp_path, file, content, what, advice):
    path = put(tmp_path / file, content)
    if path.parent.name == "labels":  # where YOLO's would be
        save_image(tmp_path / "images" / "a.jpg")
    for given in (tmp_path, path):
        with pytest.raises(ValueError, match="which keras_ssd does not read") as error:
            data.read(given)
        assert str(error.value).startswith(f"{path} is ")
        assert what in str(error.value)
        assert advice in str(error.value)


def test_values_other_files_beside_a_dataset_do_not_block_it(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 30, 20]}]
    coco_file(tmp_path / "coco.json", annotations=rows)
    put(tmp_path / "results.json", RESULTS)
    put(tmp_path / "export.zip", "PK")
    assert found(data.read(tmp_path)) == {"a": [("cat", BOX)]}


def test_values_data_of_another_format_are_noted(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 30, 20]}]
    coco_file(tmp_path / "coco.json", annotations=rows)
    labelme(tmp_path / "a.json", shape(CORNERS))
    with pytest.raises(ValueError, match="data of several formats: coco and labelme. Say which with format='coco'"):
        data.read(tmp_path)
    dataset = data.read(tmp_path, format="coco")
    assert [problem.what for problem in dataset.problems.of_kind("unused")] == [
        "the folder holds data of the format labelme too, which are not read"
    ]


def test_values_label_studio_yolo_with_its_notes(tmp_path):
    """notes.json has categories, and is no COCO file."""
    save_image(tmp_path / "images" / "a.jpg")
    put(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    put(tmp_path / "classes.txt", "nut\n")
    put(tmp_path / "notes.json", {"categories": [{"id": 0, "name": "nut"}], "info": {"contributor": "Label Studio"}})
    assert found(data.read(tmp_path)) == {"a": [("nut", [15, 10, 45, 30])]}


def test_rejects_writing_what_is_only_read(tmp_path):
    save_image(tmp_path / "a.jpg")
    dataset = data.read(labelme(tmp_path / "a.json", shape(CORNERS)))
    with pytest.raises(ValueError, match="format must be one of 'voc', .*'labelstudio'. Received: format='via'"):
        data.write(dataset, tmp_path / "out", "via")
