"""Ids in files of detections: 1, 1.0 and "1" are one id, as in annotations."""

import json

import pytest
from data_files import coco_file, save_image

from keras_ssd import data
from keras_ssd.evaluation.formats import read_detections, write_detections
from keras_ssd.evaluation.formats.ilsvrc import class_numbers


def dataset(root, image_id=1, category_id=9):
    save_image(root / "a.jpg")
    images = [{"id": image_id, "file_name": "a.jpg", "width": 60, "height": 40}]
    path = coco_file(root / "data.json", images, categories=[{"id": category_id, "name": "dog"}])
    return data.read(path)


def results(root, image_id, category_id):
    row = {"image_id": image_id, "category_id": category_id, "bbox": [1, 2, 3, 4], "score": 0.5}
    (root / "results.json").write_text(json.dumps([row]))
    return root / "results.json"


@pytest.mark.parametrize("there", [1, 1.0, "1"])
@pytest.mark.parametrize("here", [1, 1.0, "1", "1.0", "01"])
def test_values_coco_results(tmp_path, here, there):
    found = read_detections(results(tmp_path, here, here), dataset(tmp_path, there, there))
    assert found.boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    assert found.class_ids.tolist() == [0]


def test_values_coco_results_of_texts(tmp_path):
    found = read_detections(results(tmp_path, "a", "c"), dataset(tmp_path, "a", "c"))
    assert len(found) == 1


@pytest.mark.parametrize("wrong", [2, "2", 1.5, True, None, [1], {}, "x", float("nan")])
def test_rejects_ids_that_say_something_else(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"detection 1: Unknown image_id"):
        read_detections(results(tmp_path, wrong, 9), dataset(tmp_path))
    with pytest.raises(ValueError, match=r"detection 1: Unknown category_id"):
        read_detections(results(tmp_path, 1, wrong), dataset(tmp_path))


def test_rejects_the_unknown_id_and_names_those_that_differ(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown image_id '2'\. Known: 1\."):
        read_detections(results(tmp_path, "2", 9), dataset(tmp_path))


def test_values_ilsvrc(tmp_path):
    (tmp_path / "results.txt").write_text(f"1.0 {class_numbers(['dog'])[0]}.0 0.5 2 3 4 6\n")
    assert read_detections(tmp_path / "results.txt", dataset(tmp_path)).boxes_xyxy.tolist() == [[1, 2, 4, 6]]


def test_roundtrip_ids_stay_as_the_data_have_them(tmp_path):
    annotations = dataset(tmp_path, "1", 2.0)
    found = read_detections(results(tmp_path, 1, "2"), annotations)
    write_detections(found, tmp_path / "again.json", "coco", dataset=annotations)
    [row] = json.loads((tmp_path / "again.json").read_text())
    assert (row["image_id"], row["category_id"]) == ("1", 2)


def test_rejects_deep_values_in_few_words(tmp_path):
    deep = json.loads("[" * 900 + "]" * 900)
    annotations = dataset(tmp_path)
    for row in ([deep], [{"image_id": 1, "category_id": 9, "bbox": deep, "score": 1}]):
        (tmp_path / "results.json").write_text(json.dumps(row))
        with pytest.raises(ValueError, match="detection 1: ") as error:
            read_detections(tmp_path / "results.json", annotations, "coco")
        assert len(str(error.value)) < 400
