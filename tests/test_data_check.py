"""`keras_ssd.data.check` and `keras-ssd data`: what they find, print and return."""

import json
import shutil

import numpy as np
import pytest
from data_files import coco_file, save_image, voc_folder, voc_object, voc_xml
from PIL import Image

from keras_ssd import data
from keras_ssd.cli import main

GOOD = voc_xml(voc_object("cat", 2, 3, 30, 20))


def gradient(path, seed, size_hw=(40, 60), quality=95):
    """An image with large shapes, which stays itself when it is compressed again or resized."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 9), "uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.NEAREST).convert("RGB").save(path, quality=quality)


@pytest.fixture
def leaky(tmp_path):
    """a, b in train, c to f in val: c has a's bytes, d looks like b, e is too small, f is broken; z is unlabelled."""
    root = voc_folder(tmp_path / "pets", dict.fromkeys("abcdefg", GOOD), images=[])
    for seed, name in enumerate("abcdefgz"):
        gradient(root / "JPEGImages" / f"{name}.jpg", seed)
    shutil.copy(root / "JPEGImages" / "a.jpg", root / "JPEGImages" / "c.jpg")
    gradient(root / "JPEGImages" / "d.jpg", 1, quality=80)
    gradient(root / "JPEGImages" / "e.jpg", 4, size_hw=(20, 60))
    (root / "JPEGImages" / "f.jpg").write_bytes((root / "JPEGImages" / "f.jpg").read_bytes()[:300])
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\nd\ne\nf\n")
    (lists / "trainval.txt").write_text("a\nb\nc\nd\ne\nf\n")
    return root


def test_values_check(leaky):
    checked = data.check(leaky)
    assert not checked.ok
    found = {problem.kind: problem for problem in checked.problems}
    counts = {"broken image": 1, "image size": 1, "leak": 1, "look-alike": 1, "unlabelled": 1, "unused": 1}
    assert checked.problems.counts() == counts
    assert found["leak"].file.endswith("a.jpg")
    assert "is in train and in val, as" in found["leak"].what
    assert found["look-alike"].file.endswith("b.jpg")
    assert "d.jpg" in found["look-alike"].what
    assert "is 60 x 20 pixels, and its annotation says 60 x 40" in found["image size"].what
    assert found["broken image"].file.endswith("f.jpg")
    assert found["unlabelled"].file.endswith("z.jpg")
    assert found["unused"].file.endswith("g.xml")
    assert data.check(leaky, decode=False).ok


def test_values_a_split_within_another_is_a_leak(leaky):
    lists = leaky / "ImageSets" / "Main"
    (lists / "trainval.txt").unlink()
    (lists / "train.txt").write_text("a\nb\ng\n")
    (lists / "val.txt").write_text("b\n")
    leaks = data.check(leaky).problems.of_kind("leak")
    assert [problem.what for problem in leaks] == ["the same image is in train and in val"]
    (lists / "val.txt").write_text("a\nb\ng\n")
    assert len(data.check(leaky).problems.of_kind("leak")) == 3


def test_values_check_of_one_json(tmp_path):
    rows = [{"id": key, "image_id": 1, "category_id": 7, "bbox": [1, 2, 30, 4]} for key in (1, 2)]
    coco_file(tmp_path / "a.json", annotations=rows)
    save_image(tmp_path / "a.jpg")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    checked = data.check(tmp_path / "a.json")
    assert checked.ok
    assert checked.problems.counts() == {"duplicate object": 1, "unlabelled": 1}
    assert "it is object 0 once more" in str(checked)


def test_values_check_of_real_data(shared):
    checked = data.check(shared("data", "bccd"), decode=False)
    assert {name: len(part) for name, part in checked.splits.items()} == {
        "test": 72,
        "train": 205,
        "trainval": 292,
        "val": 87,
    }
    assert [(problem.kind, problem.image, problem.line) for problem in checked.problems] == [
        ("no area", "BloodImage_00343", 55),
        ("no area", "BloodImage_00338", 163),
    ]


def test_values_command_check(leaky, capsys):
    assert main(["data", "check", str(leaky)]) == 1
    out = capsys.readouterr().out
    assert "3 faults, 3 notes" in out
    assert "images in more than one split: 1\n" in out
    assert main(["data", "check", str(leaky), "--no-decode"]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(leaky), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["splits"]["train"] == {"images": 2, "objects": 2}
    assert len(told["problems"]) == 6
    assert main(["data", "check", str(leaky) + "x"]) == 2
    assert "Did you mean" in capsys.readouterr().err


def test_values_command_show(leaky, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    words = ["data", "show", str(leaky), "--split", "train", "--out", str(out), "--anchors", "ssd300_voc"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "pets/train (VOC): 2 images, 2 objects, 1 class" in told
    assert "unmatched: 0 objects" in told
    with Image.open(out) as plain:
        assert plain.width == 8 + 2 * (60 + 8)
    assert main([*words, "--augment", "light"]) == 0
    with Image.open(out) as changed:
        assert changed.width == 8 + 2 * (300 + 8)
    capsys.readouterr()
    assert main(["data", "show", str(leaky), "--augment", "light"]) == 2
    assert "Add --out FILE" in capsys.readouterr().err
    assert main(["data", "show", str(leaky), "--out", str(tmp_path / "sheet.txt")]) == 2
    assert "--out must end in" in capsys.readouterr().err


def test_values_command_convert(leaky, tmp_path, capsys):
    text = voc_xml(voc_object("cat", 2, 3, 30, 20), voc_object("dog", 9, 9, 9, 9))
    (leaky / "Annotations" / "a.xml").write_text(text)
    words = ["data", "convert", str(leaky), "--to", "coco", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "a.xml:4: object 1 (dog): it has no area" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--policy", "drop", "--classes", "cat"]) == 0
    told = capsys.readouterr()
    assert "a.xml:4: object 1 (dog)" in told.err
    assert "e.jpg is 60 x 20 pixels, and its annotation says 60 x 40 (left out)" in told.err
    assert "f.jpg: the image cannot be read" in told.err
    assert "4 images, 8 objects as COCO" in told.out
    read = data.read_splits(tmp_path / "out")
    assert {name: len(part) for name, part in read.items()} == {"train": 2, "trainval": 4, "val": 2}
    assert read["train"].classes == ("cat",)
    assert main([*words, "--policy", "drop"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_values_command_reads_csv_without_header(tmp_path, capsys):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "b.csv").write_text("a.jpg,3,30,4,20,2\n")
    words = ["data", "check", str(tmp_path / "b.csv"), "--csv-columns", "image,xmin,xmax,ymin,ymax,class_id"]
    assert main([*words, "--labels", "car,truck"]) == 0
    assert main([*words, "--labels", "car,truck", "--first-label", "0"]) == 1
    assert "class number 2 is beyond the 2 classes" in capsys.readouterr().out
