"""COCO's twelve numbers: equal to those of pycocotools to the last bit, and near to those of plain loops."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest
from measure_tables import detection_table, object_table, random_tables
from naive_coco import naive_coco

import keras_ssd
from keras_ssd.evaluation import measure
from keras_ssd.evaluation.metrics import coco, coco_library, curves
from keras_ssd.evaluation.pairing import IGNORED, NONE, TRUE
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

pytest.importorskip("faster_coco_eval", reason="COCO's numbers need the extra `coco`")

BOX = (0, 0, 100, 60)
NUMBERS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


@pytest.fixture(scope="module")
def sample():
    """Annotations of 128 images of COCO as in their file, 10 crowds among them, and as a table."""
    from conftest import shared_path

    folder = shared_path("data", "coco_sample")
    annotations = json.loads((folder / "annotations" / "instances_sample.json").read_text(encoding="utf-8"))
    truth = ObjectTable.of(keras_ssd.data.read(folder))
    assert (len(truth.images), len(truth), truth.crowd.sum()) == (128, 939, 10)
    return annotations, truth


def jittered(annotations, rng, each, decimals):
    """So many boxes near each object on average, a fifth of another class, with scores of so many decimals."""
    classes = [row["id"] for row in annotations["categories"]]
    for row in annotations["annotations"]:
        for _ in range(rng.poisson(each)):
            x, y, w, h = row["bbox"] * np.exp(rng.normal(0, [0, 0, 0.2, 0.2]))
            box = [x + rng.normal(0, 0.1) * w, y + rng.normal(0, 0.1) * h, w, h]
            class_id = row["category_id"] if rng.random() < 0.8 else int(rng.choice(classes))
            yield row["image_id"], class_id, box, round(float(rng.random()), decimals)


def crowded(annotations, rng):
    """250 boxes of one class in each of six images: more than the hundred that count."""
    for row in annotations["images"][:6]:
        for x, y, w, h, score in rng.random((250, 5)):
            width, height = row["width"], row["height"]
            yield row["id"], 1, [x * width / 2, y * height / 2, 5 + w * width / 2, 5 + h * height / 2], score


def swapped(rows, rng):
    """The rows, a third with a side that is negative, a tenth with two, and some without a side."""
    for image, class_id, (x, y, w, h), score in rows:
        kind = rng.random()
        box = [x + w, y, -w, h] if kind < 0.3 else [x + w, y + h, -w, -h] if kind < 0.4 else [x, y, w, h]
        yield image, class_id, [*box[:2], 0, h] if kind > 0.95 else box, score


def detector(kind, annotations):
    """Rows of (image id, class id, box in COCO's format, score), images in falling order of id."""
    rng = np.random.default_rng(7)
    rows = {
        "perfect": lambda: [(r["image_id"], r["category_id"], r["bbox"], 1.0) for r in annotations["annotations"]],
        "noisy": lambda: list(jittered(annotations, rng, each=3, decimals=2)),
        "sparse": lambda: list(jittered(annotations, rng, each=0.2, decimals=9)),
        "too many": lambda: [*jittered(annotations, rng, each=10, decimals=3), *crowded(annotations, rng)],
        "swapped corners": lambda: list(swapped(jittered(annotations, rng, each=3, decimals=2), rng)),
        "none": list,
    }[kind]()
    return sorted(rows, key=lambda row: row[0])


def by_pycocotools(annotations, rows):
    """`COCOeval` after everything was called."""
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        objects = pycocotools.COCO()
        objects.dataset = json.loads(json.dumps(annotations))
        objects.createIndex()
        found = pycocotools.COCO()
        found.dataset = {**objects.dataset, "annotations": []}
        found.createIndex()
        if rows:
            keys = ("image_id", "category_id", "bbox", "score")
            found = objects.loadRes(json.loads(json.dumps([dict(zip(keys, row, strict=True)) for row in rows])))
        evaluation = COCOeval(objects, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def as_table(annotations, truth, rows):
    classes = {row["id"]: truth.class_names.index(row["name"]) for row in annotations["categories"]}
    images = {int(name): place for place, name in enumerate(truth.images)}
    boxes = np.array([row[2] for row in rows], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    places, ids = [images[row[0]] for row in rows], [classes[row[1]] for row in rows]
    return DetectionTable(truth.images, truth.class_names, places, ids, [row[3] for row in rows], boxes)


@pytest.mark.parametrize("kind", ["perfect", "noisy", "sparse", "too many", "swapped corners", "none"])
def test_reference_pycocotools(sample, kind):
    annotations, truth = sample
    rows = detector(kind, annotations)
    expected = by_pycocotools(annotations, rows)
    result = measure(as_table(annotations, truth, rows), truth, "coco")
    assert list(result.numbers) == NUMBERS
    np.testing.assert_array_equal(list(result.numbers.values()), np.where(expected.stats < 0, np.nan, expected.stats))
    assert result.map == expected.stats[0]
    cells = np.moveaxis(expected.eval["precision"][..., 0, -1], -1, 0)  # C, thresholds, recalls
    names = [row["name"] for row in sorted(annotations["categories"], key=lambda row: row["id"])]
    for name, cell in zip(names, cells, strict=True):
        if (cell < 0).all():
            assert np.isnan(result.per_class[name])
            assert name not in result.curves
        else:
            assert result.per_class[name] == np.mean(cell[cell > -1])
            np.testing.assert_array_equal(result.curves[name].precision, cell[0])
    assert (kind != "too many") == (len(rows) < 10_000)


def test_reference_settings():
    theirs = pytest.importorskip("pycocotools.cocoeval").Params("bbox")
    assert theirs.iouThrs.tolist() == list(coco.IOU_THRESHOLDS)
    assert theirs.recThrs.tolist() == coco.RECALLS.tolist()
    assert theirs.areaRng == [list(area) for area in coco.AREAS]
    assert theirs.maxDets == list(coco.MAX_DETECTIONS)


def test_reference_pairing_is_what_the_library_does(sample):
    annotations, truth = sample
    for kind in ("noisy", "too many", "swapped corners"):
        result = measure(as_table(annotations, truth, detector(kind, annotations)), truth, "coco")
        wanted = np.array(list(result.objects.values()))
        own = curves.class_curves(result.found, result.pairing.verdicts, wanted)
        assert len(own) == len(result.curves)
        for class_id, curve in own.items():
            expected = result.curves[truth.class_names[class_id]].precision.mean()
            assert coco.hundred_points(curve) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_reference_naive_loops(seed):
    found, truth = random_tables(seed, images=4, detections=16)
    numbers, per_class = naive_coco(found, truth)
    result = measure(found, truth, "coco")
    assert result.numbers == pytest.approx(numbers, abs=1e-12, nan_ok=True)
    np.testing.assert_allclose(list(result.per_class.values()), per_class, rtol=0, atol=1e-12)


def test_values_classes_in_groups_give_the_same(sample, monkeypatch):
    annotations, truth = sample
    found = as_table(annotations, truth, detector("noisy", annotations))
    whole = measure(found, truth, "coco")
    monkeypatch.setattr(coco_library, "_ROWS", 300)
    parts = measure(found, truth, "coco")
    assert parts.numbers == whole.numbers
    np.testing.assert_array_equal(list(parts.per_class.values()), list(whole.per_class.values()))


def test_values_what_is_missing_is_no_number():
    # Only a large object of one class; nothing is found of it, and something of a class without objects.
    truth = object_table([(0, 0, (0, 0, 200, 100))], classes=2)
    found = detection_table([(0, 1, 0.9, (0, 0, 200, 100))], classes=2)
    for table in (found, found[:0]):
        result = measure(table, truth, "coco")
        zero = {"AP", "AP50", "AP75", "APl", "AR1", "AR10", "AR100", "ARl"}
        assert {name for name, value in result.numbers.items() if value == 0} == zero
        assert all(np.isnan(value) for name, value in result.numbers.items() if name not in zero)
        assert result.per_class["c0"] == 0
        assert np.isnan(result.per_class["c1"])
        assert np.isnan(result.curves["c0"].scores).all()


def test_values_difficult_objects_are_crowds():
    for flag in ("difficult", "crowd"):
        truth = object_table([(0, 0, (0, 0, 200, 150), flag), (0, 0, (220, 0, 280, 60))])
        found = detection_table([(0, 0, 0.9, (20, 20, 60, 60)), (0, 0, 0.8, BOX), (0, 0, 0.7, (220, 0, 280, 60))])
        result = measure(found, truth, "coco")
        assert result.pairing.verdicts.tolist() == [IGNORED, IGNORED, TRUE]
        assert result.map == 1 / (1 + np.spacing(1))  # pycocotools adds a little to one detection


def test_values_of_equal_overlaps_the_last_object_is_taken():
    # The first detection overlaps both objects by 90/110; the second overlaps the last by 60/100 and the first by 1/3.
    truth = object_table([(0, 0, BOX), (0, 0, (20, 0, 120, 60))])
    found = detection_table([(0, 0, 0.9, (10, 0, 110, 60)), (0, 0, 0.8, (60, 0, 120, 60))])
    result = measure(found, truth, "coco")
    assert result.pairing.objects.tolist() == [1, NONE]
    assert result.numbers["AR100"] == pytest.approx(7 * 0.5 / 10)  # at 0.5 to 0.8
    for name in ("voc12", "ilsvrc"):  # there it is the first
        assert measure(found, truth, name).pairing.objects.tolist() == [0, 1]


def test_values_only_the_best_hundred_count():
    far = [(0, 0, 0.9, (200, 100, 210 + i / 10, 110)) for i in range(100)]
    truth = object_table([(0, 0, BOX)])
    for position, ar in ((99, 1.0), (100, 0.0)):
        found = detection_table([*far[:position], (0, 0, 0.8, BOX)])
        result = measure(found, truth, "coco")
        assert result.numbers["AR100"] == ar
        assert (result.pairing.verdicts[-1] == TRUE) == bool(ar)
        assert result.pairing.verdicts.tolist().count(IGNORED) == (not ar)


def test_rejects_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"faster-coco-eval`: pip install 'keras-ssd\[coco\]'"):
        measure(*random_tables(0), "coco")


@pytest.mark.parametrize("options", [{"iou_threshold": 0.75}, {"plus_one": True}])
def test_rejects_options_that_coco_does_not_have(options):
    with pytest.raises(ValueError, match="COCO's measure has its own ten thresholds, 0.50 to 0.95, and no added pixel"):
        measure(*random_tables(0), "coco", **options)
