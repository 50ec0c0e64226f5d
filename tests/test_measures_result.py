"""Results: what they print, what they give away, and what cannot be measured."""

import json

import numpy as np
import pytest
from measure_tables import detection_table, object_table, random_tables

import keras_ssd
from keras_ssd.evaluation import MEASURES, Result, measure

BOX, FAR = (0, 0, 100, 60), (150, 100, 250, 160)
PRINTED = """\
VOC, area under the curve: 2 images, IoU 0.5
  class              objects  detections     AP
  ---------------------------------------------
  c0                       2           2  0.500
  c1                       1           0  0.000
  c2                       0           1    n/a
  ---------------------------------------------
  mean of 2 classes        3           3  0.250"""


def small():
    truth = object_table([(0, 0, BOX), (1, 0, BOX), (0, 0, FAR, "difficult"), (1, 1, FAR)], images=2, classes=3)
    rows = [(0, 0, 0.9, BOX), (0, 0, 0.8, (100, 60, 150, 100)), (1, 2, 0.7, FAR)]
    return detection_table(rows, images=2, classes=3), truth


def test_values_print():
    assert str(measure(*small(), "voc12")) == PRINTED
    assert repr(measure(*small(), "voc12")) == "Result('voc12', map=0.250, 2 images)"


def test_values_print_names_what_differs():
    first = str(measure(*small(), "voc07", iou_threshold=0.75, plus_one=True)).splitlines()[0]
    assert first == "VOC, 11 points: 2 images, IoU 0.75, a pixel added"
    assert str(measure(*small(), "ilsvrc")).splitlines()[0] == "ILSVRC DET: 2 images, IoU 0.5, small objects less"


def test_values_print_of_coco():
    pytest.importorskip("faster_coco_eval")
    lines = str(measure(*small(), "coco")).splitlines()
    assert lines[0] == "COCO: 2 images, IoU 0.5 to 0.95"
    assert lines[-4:] == [
        "  AP    0.252    AP50  0.252    AP75  0.252",
        "  APs     n/a    APm   0.252    APl     n/a",
        "  AR1   0.250    AR10  0.250    AR100 0.250",
        "  ARs     n/a    ARm   0.250    ARl     n/a",
    ]


@pytest.mark.parametrize("name", MEASURES)
def test_values_dictionary_is_json(name):
    if name == "coco":
        pytest.importorskip("faster_coco_eval")
    result = measure(*small(), name)
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["measure"] == name
    assert read["map"] == result.map == next(iter(result.numbers.values()))
    assert read["per_class"] == {"c0": result.per_class["c0"], "c1": 0, "c2": None}
    assert read["objects"] == {"c0": 2, "c1": 1, "c2": 0}
    assert read["detections"] == {"c0": 2, "c1": 0, "c2": 1}
    assert read["images"] == 2
    assert read["settings"]["iou_threshold"] == 0.5
    assert result.curves.keys() == {"c0", "c1"}


def test_values_no_detection_at_all():
    found, truth = small()
    for name in ("voc07", "voc12", "ilsvrc"):
        result = measure(found[:0], truth, name)
        assert result.map == 0
        assert len(result.curves["c0"].recall) == 0
        assert "n/a" in str(result)


def test_values_dataset_is_carried():
    dataset = object()
    assert measure(*small(), dataset=dataset).dataset is dataset
    assert measure(*small()).dataset is None


def test_values_public_names():
    assert keras_ssd.evaluation.measure is measure
    assert keras_ssd.evaluation.Result is Result
    assert MEASURES == ("voc07", "voc12", "coco", "ilsvrc")


def test_rejects_another_measure():
    with pytest.raises(ValueError, match=r"Unknown measure 'voc2007'. Did you mean 'voc07'.*Known: voc07, voc12, coco"):
        measure(*small(), "voc2007")


@pytest.mark.parametrize("threshold", [0, -0.5, 1.5, 50, float("nan"), "0.5", None, True])
def test_rejects_thresholds_out_of_range(threshold):
    with pytest.raises(ValueError, match="`iou_threshold` must be above 0 and at most 1. Received: iou_threshold="):
        measure(*small(), "voc07", iou_threshold=threshold)


def test_rejects_tables_of_other_images_or_classes():
    found, truth = random_tables(0, images=2, classes=2)
    with pytest.raises(ValueError, match="must have the same images in the same order. Received: 3 and 2 of them"):
        measure(detection_table([], images=3, classes=2), truth)
    with pytest.raises(ValueError, match="must have the same class_names in the same order. Received: 1 and 2 of them"):
        measure(detection_table([], images=2), truth)
    other = type(truth)(**{**truth.__dict__, "images": ("p0", "q1")})
    with pytest.raises(ValueError, match="must have the same images in the same order. Received: 'p1' and 'q1'"):
        measure(found, other)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("objects", "received"),
    [([], "no object"), ([(0, 0, BOX, "difficult"), (1, 0, BOX, "crowd")], "only difficult objects and crowds")],
)
def test_rejects_images_without_anything_to_find(name, objects, received):
    truth = object_table(objects, images=2)
    message = f"The 2 images have no objects to find, so nothing can be measured.*Received: {received}"
    with pytest.raises(ValueError, match=message):
        measure(detection_table([(0, 0, 0.9, BOX)], images=2), truth, name)


def test_values_sums_are_of_what_is_to_be_found():
    result = measure(*small(), "voc12")
    assert result.objects == {"c0": 2, "c1": 1, "c2": 0}
    assert np.isnan(result.per_class["c2"])
