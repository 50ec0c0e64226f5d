"""The report: what it says, what it holds, and what it does with odd results."""

import dataclasses
import datetime
import html
import re
import sys
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_scenes import found, random_scene, trained, truth

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.evaluation import evaluate, measure
from keras_ssd.evaluation.analysis import FOUND
from keras_ssd.evaluation.origin import Origin
from keras_ssd.evaluation.report import facts, galleries, write_report

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
        (found((0, CAT, 12.5, *BOX)), truth((0, CAT, *BOX)), "their scores are not probabilities"),
        (found((0, CAT, 0.9, *BOX)), truth((0, CAT, *BOX), size_hw=(0, 0)), "No object is missed"),
        (found((0, CAT, 0.9, *BOX)), truth((0, CAT, *BOX), (1, CAT, *BOX), difficult=[1]), "do not count"),
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


def test_rejects_names_that_do_not_fit(scene, tmp_path):
    result = measure(*scene, "voc12")
    for names in (["a"], ["a", "a"]):
        with pytest.raises(ValueError, match="`names` must give each of the 2 results a different name"):
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
