"""Files of detections against those who defined them: the VOC devkit's values, and pycocotools' reading."""

import contextlib
import csv
import io

import numpy as np
import pytest

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.evaluation import ObjectTable, evaluate, read_detections, write_detections
from keras_ssd.evaluation.tables import DetectionTable


def test_reference_vocs_files_in_the_order_of_the_devkit(oracle, shared, tmp_path):
    """What a detector wrote for the devkit, ties in the order of its files, gives the devkit's values."""
    given = oracle("voc_eval", "voc07_test_detections.npz")
    names = [str(name) for name in given["class_names"]]
    edges, ids, difficult = given["gt_boxes_xyxy"] - [1, 1, 0, 0], given["gt_class_id"], given["gt_difficult"]
    starts = np.searchsorted(given["gt_image_index"], np.arange(len(given["image_ids"]) + 1))
    annotations = [
        Annotation(str(name), f"{name}.jpg", edges[a:b], ids[a:b], difficult=difficult[a:b])
        for name, a, b in zip(given["image_ids"], starts, starts[1:], strict=False)
    ]
    data = Dataset("VOC2007 test", names, annotations)
    for class_id, name in enumerate(names):
        with open(tmp_path / f"comp4_det_test_{name}.txt", "w", encoding="utf-8") as file:
            for row in np.flatnonzero(given["class_id"] == class_id):
                box = " ".join(map(str, given["boxes_xyxy"][row]))
                file.write(f"{given['image_ids'][given['image_index'][row]]} {given['score'][row]} {box}\n")
    with open(shared("oracle", "voc_eval", "expected_ap.csv"), encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    found = read_detections(tmp_path, data, outside="keep")
    assert len(found) == len(given["score"])
    for measure, column in (("voc07", "ap_11_points"), ("voc12", "ap_all_points")):
        result = evaluate(found, data, measure)
        values = {**result.per_class, "mean": result.map}
        assert values.keys() == {row["class"] for row in expected}
        for row in expected:
            assert values[row["class"]] == pytest.approx(float(row[column]), abs=1e-6), (measure, row)


def test_reference_pycocotools_reads_what_is_written(shared, tmp_path):
    pytest.importorskip("faster_coco_eval", reason="COCO's numbers need the extra `coco`")
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    folder = shared("data", "coco_sample")
    data = keras_ssd.data.read(folder)
    truth, rng = ObjectTable.of(data), np.random.default_rng(3)
    sizes = np.tile(truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2], 2)
    boxes = np.sort((truth.boxes_xyxy + rng.normal(0, 0.1, sizes.shape) * sizes).reshape(-1, 2, 2), axis=1)
    found = DetectionTable(
        truth.images, truth.class_names, truth.image, truth.class_ids, rng.random(len(truth)), boxes.reshape(-1, 4)
    )
    path = write_detections(found, tmp_path / "results.json", "coco", dataset=data)
    with contextlib.redirect_stdout(io.StringIO()):
        official = pycocotools.COCO(str(folder / "annotations" / "instances_sample.json"))
        evaluation = COCOeval(official, official.loadRes(str(path)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    result = evaluate(read_detections(path, data, outside="keep"), data, "coco")
    assert 0.2 < result.map < 0.8
    np.testing.assert_allclose(list(result.numbers.values()), evaluation.stats, atol=1e-6)
