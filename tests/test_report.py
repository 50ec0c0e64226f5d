"""The report: what it says, what it holds, and what it does with odd results."""

import dataclasses
import datetime
import html
import json
import re
import sys
import zipfile
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_scenes import found, random_scene, truth

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.evaluation import evaluate, figures, measure
from keras_ssd.evaluation.analysis import FOUND, Interval, analyse
from keras_ssd.evaluation.analysis.calibration import Calibration
from keras_ssd.evaluation.origin import Origin, Training, read_training
from keras_ssd.evaluation.report import facts, galleries, report_text, write_report

pytest.importorskip("jinja2", reason="the extra `report` is not installed")

CAT, DOG = 0, 1
BOX = (50, 50, 90, 90)
AWAY = (150, 150, 190, 190)
VOID = {"meta", "link", "img", "br", "rect", "line", "circle", "polyline"}


class Tags(HTMLParser):
    """Checks that tags close, and gathers what tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.headings, self.ids, self.links = [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attributes)
        if tag == "a":
            self.links.append(attributes["href"])
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if "id" in attributes:
            self.ids.append(attributes["id"])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def with_images(detections, objects, name="voc12", classes=None):
    """A `Result` whose dataset has images of noise."""
    rng = np.random.default_rng(0)
    annotations = [
        Annotation(one, rng.integers(0, 256, (200, 200, 3), "uint8"), np.zeros((0, 4)), np.zeros(0, int), (200, 200))
        for one in objects.images
    ]
    dataset = Dataset("noise", classes or objects.class_names, annotations)
    return measure(detections, objects, name, dataset=dataset)


def text_of(result, folder, **options):
    path = write_report(result, folder, **options)
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def scene():
    return random_scene(np.random.default_rng(3), images=12)


@pytest.mark.parametrize("name", ["voc07", "voc12", "ilsvrc", "coco"])
def test_values_of_the_page(scene, name, tmp_path):
    if name == "coco":
        pytest.importorskip("faster_coco_eval", reason="the extra `coco` is not installed")
    result = with_images(*scene, name)
    path = result.report(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    text = path.read_text("utf-8")
    page = Tags(text)
    assert f"mean AP {result.map:.3f}" in text
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.images)
    assert page.images
    assert len(page.images) <= 2 * galleries.LIMIT + galleries.FINDS
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "nan" not in re.sub(r"base64,[^\"]+|noise", "", text).lower()


def test_roundtrip_the_same_result_gives_the_same_page(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "today", lambda: datetime.date(2031, 2, 3))  # or midnight may lie between them
    result = with_images(*scene)
    assert text_of(result, tmp_path / "a") == text_of(result, tmp_path / "b")


def test_values_several_detectors(scene, tmp_path):
    detections, objects = scene
    results = [
        with_images(detections[start::step], objects) for start, step in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3))
    ]
    text = text_of(dict(zip("vwxyz", results, strict=True)), tmp_path)
    Tags(text)
    assert "w is worse than v" in text
    assert "Found by v, missed by w" in text
    assert "Found by w, missed by v" in text
    assert text.count('</th><th scope="col" class="n">difference</th>') == 4
    assert "detector 2" in text_of(results[:2], tmp_path)


def test_values_names_are_text_and_never_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    objects = dataclasses.replace(
        truth((0, CAT, *BOX), (1, DOG, *AWAY)), class_names=(evil, "d&g", "'\"bird"), images=(evil, "b")
    )
    detections = dataclasses.replace(
        found((0, DOG, 0.9, *BOX), (1, CAT, 0.8, *AWAY)), class_names=objects.class_names, images=objects.images
    )
    text = text_of({evil: with_images(detections, objects), "b": with_images(detections, objects)}, tmp_path)
    Tags(text)
    assert text.count("<script>") == 1
    assert "d&amp;g" in text


def test_values_one_script_and_its_digest(scene, tmp_path):
    import base64
    import hashlib

    text = text_of(with_images(*scene), tmp_path)
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    ("detections", "objects", "words_"),
    [
        (found(), truth((0, CAT, *BOX)), "0 of 1 object"),  # no detections
        (found((0, CAT, 0.9, *BOX), images=1), truth((0, CAT, *BOX), images=1), "There are no intervals"),
        (found((0, CAT, 12.5, *BOX)), truth((0, CAT, *BOX)), "their scores are no probabilities"),
        (found((0, CAT, 0.9, *BOX)), truth((0, CAT, *BOX), size_hw=(0, 0)), "No object is missed"),
        (found((0, CAT, 0.9, *BOX)), truth((0, CAT, *BOX), (1, CAT, *BOX), difficult=[1]), "count neither way"),
    ],
)
def test_values_odd_results_still_give_a_page(detections, objects, words_, tmp_path):
    text = text_of(with_images(detections, objects), tmp_path)
    Tags(text)
    assert words_ in text
    assert "nan" not in re.sub(r"base64,[^\"]+|noise", "", text).lower()


def test_values_without_a_dataset_and_with_broken_images(scene, tmp_path):
    detections, objects = scene
    assert "does not know its dataset" in text_of(measure(detections, objects, "voc12"), tmp_path)
    annotations = [Annotation(name, f"{tmp_path}/gone.jpg", [], []) for name in objects.images]
    broken = measure(detections, objects, "voc12", dataset=Dataset("gone", objects.class_names, annotations))
    text = text_of(broken, tmp_path)
    assert re.search(r"\d+ images could not be read and are left out", text)
    assert not Tags(text).images


def test_values_images_of_another_size_than_stated(tmp_path):
    objects = truth((0, CAT, 50, 50, 150, 150), (0, DOG, 50, 50, 100, 150), size_hw=(200, 200))
    image = np.zeros((400, 400, 3), "uint8")
    dataset = Dataset("big", objects.class_names, [Annotation(name, image, [], []) for name in objects.images])
    result = measure(found(), objects, "voc12", dataset=dataset)
    [shown] = galleries.Images([result]).gallery([0], galleries.of_miss, result, result.analysis)
    (kind, x, y, width, height) = shown.boxes[-1]
    assert kind == "truth"
    assert width == height == pytest.approx(200 * shown.width / 400)
    assert x == y == pytest.approx(100 * shown.width / 400)
    assert shown.boxes[0] == ("faint truth", x, y, width / 2, height)


def test_values_galleries_spread_over_classes_and_images():
    many = [(0, CAT, 10 * i, 10, 10 * i + 9, 20) for i in range(10)]
    objects = truth(*many, (1, CAT, 0, 0, 50, 50), (1, DOG, 0, 0, 20, 20))
    result = measure(found(), objects, "voc12")
    rows = galleries.worst_misses(result, result.analysis)
    assert rows[:3] == [10, 11, 0]  # the largest cat, the only dog, then cats
    assert sum(objects.image[rows] == 0) == galleries.PER_IMAGE
    alarms = found(*[(0, DOG, 0.5 + 0.01 * i, 100, 100, 120, 120) for i in range(6)], (1, DOG, 0.4, 0, 0, 20, 20))
    result = measure(alarms, objects, "voc12")
    assert galleries.worst_alarms(result, result.analysis) == [5, 4, 3]


@pytest.mark.slow
def test_values_of_the_shipped_detector(shared, tmp_path):
    """On real images: what the page says is what its detector is known for, unlabelled red cells before all."""
    model = keras_ssd.ssd_small(weights="cells")
    data = keras_ssd.data.read(shared("data", "bccd"), split="test", policy="drop")
    result = evaluate(model, data, "voc12", progress=False)
    text = text_of({"ssd_small": result}, tmp_path, anchors=model)
    assert "<h1>ssd_small: mean AP 0.909</h1>" in text
    assert "Main loss: false alarms where no object is" in text
    assert "best anchor&#39;s IoU above 0.7" in text
    assert len(Tags(text).images) == 2 * galleries.LIMIT + galleries.FINDS
    assert len(text) < 1_000_000


def test_values_the_verdict_names_the_main_loss():
    small = [(i % 2, CAT, 10 * i, 10, 10 * i + 9, 20) for i in range(12)]
    large = [(i % 2, CAT, 15 * i, 60, 15 * i + 110, 190) for i in range(6)]
    hits = [(p, c, 0.9, *box) for p, c, *box in large]
    analysis = analyse(measure(found(*hits), truth(*small, *large), "voc12"))
    assert report_text.headline(
        analysis
    ) == "Main loss: objects that nothing finds; 100 % of the misses are small".replace("100 %", "100\u00a0%")
    assert "Of the objects that are small, 100\u00a0% are missed (of all objects, 67\u00a0%)" in "".join(
        report_text.findings(analysis)
    )
    alarms = [(0, CAT, 0.95, 0, 100, 5 + i, 110) for i in range(8)]
    analysis = analyse(measure(found(*alarms, *hits), truth(*large), "voc12"))
    assert report_text.headline(analysis) == "Main loss: false alarms where no object is"
    analysis = analyse(measure(found(*hits), truth(*large), "voc12"))
    assert report_text.headline(analysis).startswith("Little is lost")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 7, "0"), (1, 7, "14"), (1, 200, "below 1"), (199, 200, "above 99"), (7, 7, "100"), (0, 0, "n/a")],
)
def test_values_percent(part, whole, text):
    assert figures.percent(part, whole).replace("\u00a0%", "") == text


def test_values_signs():
    assert [figures.signed(value) for value in (0.0123, -0.0019, 0.0001, -0.0001, np.nan)] == [
        "+0.012",
        "−0.002",
        "0.000",
        "0.000",
        "n/a",
    ]


def test_values_bounds_that_are_apart_never_read_as_zero():
    assert figures.bounds(Interval(-0.01, -0.0212, -0.0003)) == "−0.0212 to −0.0003"
    assert figures.bounds(Interval(-0.01, -0.0212, 0.0003)) == "−0.021 to 0.000"


def test_rejects_names_that_do_not_fit(scene, tmp_path):
    result = measure(*scene, "voc12")
    for names in (["a"], ["a", "a"]):
        with pytest.raises(ValueError, match="`names` must give each of the 2 results a name of its own"):
            write_report([result, result], tmp_path, names=names)
    with pytest.raises(ValueError, match="Give at least one"):
        write_report([], tmp_path)


def test_rejects_results_of_different_data(scene, tmp_path):
    result = measure(*scene, "voc12")
    with pytest.raises(ValueError, match="differ in their measure"):
        result.report(tmp_path, others=[measure(*scene, "voc07")])
    assert not list(tmp_path.iterdir())


def test_rejects_a_missing_extra(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs the package `jinja2`: pip install 'keras-ssd\[report\]'"):
        measure(*scene, "voc12").report(tmp_path)


def test_values_wheel_holds_the_template(tmp_path):
    import subprocess
    from pathlib import Path

    root = Path(keras_ssd.__file__).parents[1]
    if not (root / "pyproject.toml").exists():
        pytest.skip("an installed package has nothing to build from")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=root, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    folder = "keras_ssd/evaluation/report/templates/"
    assert {folder + name for name in ("page.html", "style.css", "sort.js")} <= names


def bars(*rows):
    """A `Calibration` of (count, mean score, share true) of the first bins; the others are empty."""
    counts = np.zeros(10, int)
    scores, shares = np.full(10, np.nan), np.full(10, np.nan)
    for place, (count, score, share) in rows:
        counts[place], scores[place], shares[place] = count, score, share
    off = np.nansum(np.abs(scores - shares) * counts) / counts.sum()
    bias = np.nansum((scores - shares) * counts) / counts.sum()
    return Calibration(np.linspace(0, 1, 11), counts, scores, shares, float(off), float(bias))


def said_of(*rows):
    return report_text.calibration_sentence(SimpleNamespace(calibration=bars(*rows)))


WEAK = (0, (10_000, 0.08, 0.001))  # what a user never sees


def test_values_scores_are_called_what_the_bars_show():
    high, low = (8, (100, 0.85, 0.4)), (5, (100, 0.55, 0.95))
    assert said_of(high) == (
        "Scores are too high from 0.8 to 0.9 (0.85 on average, and 40\u00a0% of such detections are true)."
    )
    assert said_of(low, (6, (300, 0.65, 0.99))) == (
        "Scores are too low from 0.5 to 0.7 (0.62 on average, and 98\u00a0% of such detections are true)."
    )
    assert "too low from 0.5 to 0.6" in said_of(low, high)
    assert "too high from 0.8 to 0.9" in said_of(low, high)


def test_values_many_weak_detections_do_not_turn_the_verdict():
    """Their bias is positive, and all bars that are seen are above the diagonal."""
    seen = [(place, (60, 0.05 + place / 10, min(1.0, 0.3 + place / 10))) for place in range(2, 9)]
    assert bars(WEAK, *seen).bias > 0.05
    text = said_of(WEAK, *seen)
    assert "too low from 0.2 to 0.9" in text
    assert "too high from 0.0 to 0.1" in text
    good = (0, (100_000, 0.012, 0.01))
    assert bars(good, *seen).ece < 0.03
    assert "too low from 0.2 to 0.9" in said_of(good, *seen)


def test_values_scores_that_are_right_or_too_few():
    right = [(place, (1000, 0.05 + place / 10, 0.05 + place / 10 + 0.02)) for place in range(10)]
    assert said_of(*right).startswith("Scores can be read as probabilities")
    assert said_of((5, (4, 0.55, 0.0)), *right[6:]).startswith("Scores can be read as probabilities")
    assert said_of((5, (16, 0.55, 0.37)), *right[6:]).startswith("Scores can be read as probabilities")  # chance


def trained(*values, name="val_mAP", loss=1.0):
    rows = tuple({"epoch": place + 1.0, "loss": loss, name: value} for place, value in enumerate(values))
    return Training(rows, {"epochs": len(rows), "recipe": "small-data", "batch_size": 8}, "pets/train, 90 images")


def asked(training):
    return report_text._training_advice(Origin("ssd", (300, 300), "runs/a/model.keras", training))


def test_values_a_model_that_still_learns_is_told_to_train_longer():
    text = "The training ended after 3 epochs, when the mean AP on the validation set was still rising"
    assert asked(trained(0.1, 0.2, 0.3)) == f"{text} (from 0.200 to 0.300): train longer, over more epochs."
    assert asked(trained(0.3)) == "The training ended after 1 epoch: train longer."
    falling = trained(5.0, 3.0, 2.0, name="loss")
    assert "the loss was still falling (from 3.000 to 2.000)" in asked(falling)
    nothing_found = Training(tuple({**row, "val_mAP": 0.0} for row in falling.rows), {})
    assert "still falling" in asked(nothing_found)
    assert "after 10 epochs" in asked(trained(*np.linspace(0.1, 0.6, 10)))


def test_values_a_model_that_has_learnt_is_not():
    assert asked(trained(0.5, 0.6, 0.605)) == ""
    assert asked(trained(0.5, 0.6, 0.4)) == ""
    assert asked(trained(*[0.5] * 8, 0.2, 0.505)) == ""
    assert asked(trained(2.0, 1.0, 0.99, name="loss")) == ""
    assert asked(None) == ""
    assert report_text._training_advice(None) == ""


def test_roundtrip_what_a_training_leaves_is_read_beside_the_model(tmp_path):
    model = tmp_path / "model.keras"
    model.write_bytes(b"")
    assert read_training(model) is None
    (tmp_path / "log.csv").write_text("epoch,loss,val_mAP\n1.0,3.5,\n2.0,2.5,0.25\n")
    assert read_training(model) == Training(
        ({"epoch": 1.0, "loss": 3.5}, {"epoch": 2.0, "loss": 2.5, "val_mAP": 0.25}), {}
    )
    run = {"settings": {"epochs": 4, "recipe": "caffe"}, "train": {"name": "pets/train", "images": 90}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    training = read_training(str(model))
    assert (training.settings, training.data) == (run["settings"], "pets/train, 90 images")
    (tmp_path / "log.csv").write_text("epoch,loss\nx,y\n")
    assert read_training(model) is None
    assert read_training("ssd300.voc07+12") is None
    assert read_training(None) is None


def test_values_a_cheaper_threshold_is_named():
    box = (10, 10, 50, 50)
    objects = truth(*((place, CAT, *box) for place in range(10)), images=10)
    weak = found(*((place, CAT, 0.3 - place / 100, *box) for place in range(10)), images=10)
    analysis = analyse(measure(weak, objects, "voc12"))
    (first, *_) = report_text.advice(analysis)
    assert "The cheapest gain is another threshold: 0.21 instead of the default, 0.5. F1" in first
    assert "F1 rises from 0.00 to 1.00 (10 instead of 0 objects found, 0 instead of 0 wrong boxes)" in first
    strong = found(*((place, CAT, 0.9 - place / 100, *box) for place in range(10)), images=10)
    assert not any("threshold:" in text for text in report_text.advice(analyse(measure(strong, objects, "voc12"))))
    (first, *_) = report_text.advice(analysis, Origin("ssd", (300, 300), confidence=0.255))
    assert "0.21 instead of the model's own, 0.26. F1 rises from 0.67 to 1.00 (10 instead of 5 objects found" in first
    own = Origin("ssd", (300, 300), confidence=0.21)
    assert not any("threshold:" in text for text in report_text.advice(analysis, own))
    assert analysis.at(0.245).found == 6
    assert analysis.at(0.245).recall == pytest.approx(0.6)


def test_values_the_page_tells_date_version_data_and_training(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "today", lambda: datetime.date(2031, 2, 3))
    result = with_images(*scene)
    origin = Origin("ssd_small", (240, 320), "runs/a/model.keras", trained(0.1, 0.2, 0.3))
    text = html.unescape(text_of(dataclasses.replace(result, origin=origin), tmp_path))
    for fact in (
        "2031-02-03",
        f"keras_ssd {keras_ssd.__version__}",
        facts.fingerprint(scene[1]),
        f"{len(scene[1].images)} images, {len(scene[1])} objects",
        "ssd_small, input 240\u00a0x\u00a0320 pixels",
        "runs/a/model.keras",
        "3 epochs, recipe small-data, batch size 8",
        "pets/train, 90 images",
        "train longer, over more epochs",
    ):
        assert fact in text, fact
    assert result.dataset.name in text


def test_values_the_fingerprint_is_that_of_the_data(scene):
    objects = scene[1]
    same = facts.fingerprint(objects)
    assert len(same) == 16
    assert facts.fingerprint(dataclasses.replace(objects)) == same
    moved = dataclasses.replace(objects, boxes_xyxy=objects.boxes_xyxy + 1)
    renamed = dataclasses.replace(objects, images=[f"{name}x" for name in objects.images])
    assert len({same, facts.fingerprint(moved), facts.fingerprint(renamed)}) == 3


def test_values_the_gallery_of_what_went_right(scene):
    result = with_images(*scene)
    analysis, detections = result.analysis, result.found
    rows = galleries.best_finds(result, analysis)
    assert 0 < len(rows) <= galleries.FINDS
    assert analysis.accepted[rows].all()
    assert (analysis.fates[analysis.partners[rows]] == FOUND).all()
    assert len(set(detections.image[rows].tolist())) == len(rows)  # one of an image
    same = (detections.class_ids == detections.class_ids[rows[0]]) & (analysis.kinds == FOUND)
    assert detections.scores[rows[0]] == detections.scores[same].max()
