"""Images that cannot be read: left out and named, or refused and all named, wherever data are used."""

import dataclasses
import os
import sqlite3

import numpy as np
import pytest
from data_files import save_image, voc_folder, voc_object, voc_xml
from PIL import Image
from training_toys import run as train_toy
from training_toys import toy

import keras_ssd
from keras_ssd import data
from keras_ssd.cli.main import main
from keras_ssd.data import DataError, whole
from keras_ssd.data.reading import WRITTEN
from keras_ssd.evaluation import collect, evaluate

NAMES = ("truncated", "text", "empty", "gone", "broken")
BAD = ("truncated.jpg", "text.jpg", "empty.jpg", "gone.jpg", "broken.xml")  # the last two are in validation


@pytest.fixture
def spoiled(tmp_path):
    """VOC data with two splits of six good images each and five bad files."""
    bright, dark = voc_object("bright", 2, 3, 30, 20), voc_object("dark", 20, 8, 50, 30)
    good = {f"a{i}": voc_xml(bright, dark, filename=f"a{i}.jpg") for i in range(12)}
    bad = {name[:-4]: voc_xml(bright, filename=f"{name[:-4]}.jpg") for name in BAD}
    root = voc_folder(tmp_path / "pets", good | bad)
    images = root / "JPEGImages"
    whole_file = (images / "truncated.jpg").read_bytes()
    (images / "truncated.jpg").write_bytes(whole_file[: len(whole_file) // 2])
    (images / "text.jpg").write_text("this is no image")
    (images / "empty.jpg").write_bytes(b"")
    (images / "gone.jpg").unlink()
    (root / "Annotations" / "broken.xml").write_text("<annotation><object>")
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join([*(f"a{i}" for i in range(6)), "truncated", "text", "empty"]))
    (lists / "val.txt").write_text("\n".join([*(f"a{i}" for i in range(6, 12)), "gone", "broken"]))
    return root


def named(text):
    return [name for name in BAD if name in text]


def test_values_drop_leaves_them_out_and_names_them(spoiled):
    splits = data.read_splits(spoiled, policy="drop")
    assert {name: len(part) for name, part in splits.items()} == {"train": 6, "val": 6}
    assert named(splits["train"].report()) == list(BAD[:3])
    assert named(splits["val"].report()) == list(BAD[3:])
    assert splits["train"].policy == "drop" == splits["train"].split(0.5)[0].policy
    reasons = {os.path.basename(p.file): p.what for p in splits["train"].problems.of_kind("broken image")}
    assert "truncated" in reasons["truncated.jpg"] or "Truncated" in reasons["truncated.jpg"]
    assert "a text file" in reasons["text.jpg"]
    assert "empty (0 bytes)" in reasons["empty.jpg"]


def test_rejects_all_of_them_in_one_error(spoiled):
    with pytest.raises(DataError) as error:
        data.read_splits(spoiled)
    assert named(str(error.value)) == list(BAD)
    with pytest.raises(DataError) as error:
        data.read(spoiled, "train")
    assert named(str(error.value)) == list(BAD[:3])


SPOILT = {  # what stands in the annotation of "broken", and what takes its place
    "voc": (".xml", "<object>", "<object"),
    "coco": ("instances_val.json", '"bbox": [7.0, ', '"bbox": ["x", '),
    "yolo": ("broken.txt", "0 ", "0 x "),
    "csv": ("val.csv", "7.0,", "x,"),
    "cvat": ("annotations.xml", 'xtl="7.0"', 'xtl="x"'),
    "labelstudio": ("val.json", '"x": 14.5833', '"x": "", "y": 14.5833'),
}


@pytest.mark.parametrize("format", WRITTEN)
def test_values_every_format_names_them(tmp_path, format):
    def images(*names):
        boxes = [[7, 5, 20, 20]] if "broken" in names else [[9, 5, 20, 20]]
        paths = [save_image(tmp_path / "in" / f"{name}.jpg", (32, 48), seed) for seed, name in enumerate(names)]
        return [data.Annotation(n, path, boxes, [0], (32, 48)) for n, path in zip(names, paths, strict=True)]

    train = data.Dataset("train", ("nut",), images("a", "b", "truncated", "text", "empty"))
    val = data.Dataset("val", ("nut",), [*images("c", "d", "gone"), *images("broken")])
    data.write({"train": train, "val": val}, tmp_path / "out", format)
    truncated, text, empty, gone = (next((tmp_path / "out").rglob(f"{name}.*g")) for name in NAMES[:4])
    truncated.write_bytes(truncated.read_bytes()[:900])
    text.write_text("this is no image")
    empty.write_bytes(b"")
    gone.unlink()
    ending, before, after = SPOILT[format]
    [file] = [path for path in (tmp_path / "out").rglob(f"*{ending}") if format != "voc" or path.stem == "broken"]
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(DataError) as error:
        data.read_splits(tmp_path / "out")
    assert len(error.value.problems.faults) == 5
    assert {problem.image.split("/")[-1] for problem in error.value.problems.faults} == {*NAMES}
    splits = data.read_splits(tmp_path / "out", policy="drop")
    assert {name: [each.name for each in part] for name, part in splits.items()} == {
        "train": ["a", "b"],
        "val": ["c", "d"],
    }
    named = [[problem.image.split("/")[-1] for problem in part.problems.faults] for part in splits.values()]
    assert [sorted(each) for each in named] == [["empty", "text", "truncated"], ["broken", "gone"]]


def test_values_check_names_them(spoiled, capsys):
    assert main(["data", "check", str(spoiled)]) == 1
    assert named(capsys.readouterr().out) == list(BAD)


def test_values_a_training_leaves_them_out(spoiled, tmp_path, capsys):
    toy().save(tmp_path / "toy.keras")
    words = ["train", str(spoiled), "--out", str(tmp_path / "run"), "--weights", str(tmp_path / "toy.keras")]
    words += ["--epochs", "1", "--batch-size", "2", "--augment", "none"]
    assert main(words) == 2
    told = capsys.readouterr()
    assert named(told.err) == list(BAD)
    assert not (tmp_path / "run").exists()
    assert main([*words, "--policy", "drop"]) == 0
    told = capsys.readouterr()
    assert named(told.out) == list(BAD)
    assert named((tmp_path / "run" / "run.json").read_text()) == list(BAD)


def test_values_an_evaluation_leaves_them_out(spoiled, tmp_path, capsys):
    toy().save(tmp_path / "toy.keras")
    words = ["evaluate", str(spoiled), "--split", "all", "--weights", str(tmp_path / "toy.keras")]
    assert main(words) == 2
    assert named(capsys.readouterr().err) == list(BAD)
    assert main([*words, "--policy", "drop", "--measure", "voc12"]) == 0
    assert named(capsys.readouterr().out) == list(BAD)


@pytest.mark.numerical
def test_values_fit_and_cache_after_drop(spoiled, tmp_path):
    train, model = data.read(spoiled, "train", policy="drop"), toy()
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    model.fit(data.batches(train, model, None, batch_size=3), verbose=0)
    assert len(data.cached(train, tmp_path / "cache")) == 6


# -- images that break between reading and use, and data that were never looked at ------------------------------------


@pytest.fixture
def late(spoiled):
    """The six training images, read before one of them is cut and another one removed."""
    read = data.read(spoiled, policy="drop")
    train = read[[a.name in {f"a{i}" for i in range(6)} for a in read]]
    (spoiled / "JPEGImages" / "a1.jpg").write_bytes((spoiled / "JPEGImages" / "a1.jpg").read_bytes()[:400])
    (spoiled / "JPEGImages" / "a4.jpg").unlink()
    return train


def refusing(dataset):
    return dataclasses.replace(dataset, policy="error")


@pytest.mark.numerical
def test_values_fit_replaces_what_breaks_later(late, caplog):
    model = toy()
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    source = data.batches(late, model, None, batch_size=2)
    model.fit(source, epochs=2, verbose=0)
    assert [problem.image for problem in source.left_out] == ["a1", "a4"]
    warned = sorted(message for message in caplog.messages if "cannot be read" in message)
    assert len(warned) == 2  # each once, not once an epoch
    first, second = (source.maker.sample(0, place) for place in (1, 2))
    np.testing.assert_array_equal(first.image, second.image)  # the next one stands in


@pytest.mark.numerical
def test_rejects_later_breaks_with_the_packages_own_error(late):
    """No backend's graph error: TensorFlow would say InvalidArgumentError, PyFunction and get_next."""
    model = toy()
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    for use in (model.fit, model.evaluate):
        with pytest.raises(DataError) as error:
            use(data.batches(refusing(late), model, None, batch_size=2), verbose=0)
        assert "2 faults in the data" in str(error.value)
        assert "a1.jpg: the image cannot be read" in str(error.value)
        assert "a4.jpg: the image cannot be read: there is no such file" in str(error.value)
    good, bad = (data.batches(part, model, None, batch_size=2) for part in (late[[0, 2]], refusing(late)))
    with pytest.raises(DataError, match="2 faults"):
        model.fit(good, validation_data=bad, verbose=0)


@pytest.mark.numerical
def test_rejects_a_failed_training_leaves_no_folder(late, tmp_path):
    with pytest.raises(DataError, match="2 faults"):
        train_toy(tmp_path / "deep" / "run", data=refusing(late), augment=None)
    assert not (tmp_path / "deep").exists()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    with pytest.raises(DataError):
        train_toy(kept, data=refusing(late), augment=None)
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]


@pytest.mark.numerical
def test_values_a_training_goes_on_and_tells(late, tmp_path):
    history = train_toy(tmp_path / "run", data=late, validation=late, epochs=1, augment=None)
    assert [problem.image for problem in history.left_out] == ["a1", "a4"]
    assert (tmp_path / "run" / "predictions.png").is_file()


@pytest.mark.numerical
def test_values_an_evaluation_of_what_is_left(late, tmp_path, caplog):
    table = collect(toy(), late, save=tmp_path / "found.json", batch_size=2, progress=False)
    assert table.images == ("a0", "a2", "a3", "a5")
    result = evaluate(toy(), late, "voc12", progress=False)
    assert [annotation.name for annotation in result.dataset] == ["a0", "a2", "a3", "a5"]
    assert any("a4.jpg: the image cannot be read" in message for message in caplog.messages)
    with pytest.raises(DataError, match=r"2 faults(.|\n)*a1\.jpg(.|\n)*a4\.jpg"):
        evaluate(toy(), refusing(late), "voc12", progress=False)


@pytest.mark.numerical
def test_roundtrip_an_interrupted_evaluation_knows_what_was_unreadable(late, tmp_path, monkeypatch):
    from keras_ssd.evaluation import collecting

    whole_table = collect(toy(), late, batch_size=2, progress=False)
    real, calls = collecting.Collector.add, []

    def add(self, *args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(self, *args)

    monkeypatch.setattr(collecting.Collector, "add", add)
    with pytest.raises(KeyboardInterrupt):
        collect(toy(), late, save=tmp_path / "found.json", batch_size=2, progress=False)
    monkeypatch.setattr(collecting.Collector, "add", real)
    table = collect(toy(), late, save=tmp_path / "found.json", batch_size=2, progress=False)
    assert table.images == whole_table.images
    np.testing.assert_allclose(table.scores, whole_table.scores, atol=1e-5)


def test_values_a_cache_of_what_is_left(late, tmp_path):
    small = data.cached(late, tmp_path / "cache", size_hw=(20, 30))
    assert [annotation.name for annotation in small] == ["a0", "a2", "a3", "a5"]
    assert [problem.image for problem in small.problems if problem.image in ("a1", "a4")] == ["a1", "a4"]
    assert data.Sample.of(small[3]).size_hw == (20, 30)
    again = data.cached(late, tmp_path / "cache", size_hw=(20, 30))
    assert again == small
    for folder in ("cache", "other"):
        with pytest.raises(DataError, match=r"2 faults(.|\n)*a1\.jpg(.|\n)*a4\.jpg"):
            data.cached(refusing(late), tmp_path / folder, size_hw=(20, 30))
    assert not (tmp_path / "other").exists()


def test_rejects_data_without_any_readable_image(late):
    model = toy()
    with pytest.raises(DataError, match="No image of the data can be read"):
        data.batches(late[[1, 4]], model, None, batch_size=2)[0]


def test_rejects_a_decompression_bomb_without_advice(spoiled):
    Image.new("1", (12000, 12000)).save(spoiled / "JPEGImages" / "a0.png")
    os.replace(spoiled / "JPEGImages" / "a0.png", spoiled / "JPEGImages" / "a0.jpg")
    with pytest.raises(DataError, match=r"a0\.jpg: the image cannot be read: it has 1\d+ ?x?") as error:
        data.read(spoiled, "train")
    assert "max_pixels" not in str(error.value)


# -- what is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(whole, "REMEMBERED_FROM", 1)
    decoded = []
    real = whole.check_image
    monkeypatch.setattr(whole, "check_image", lambda path: decoded.append(os.path.basename(path)) or real(path))
    return decoded


def test_values_whole_images_are_decoded_once(spoiled, remembering):
    data.read(spoiled, "train", policy="drop")
    assert len(remembering) == 9
    remembering.clear()
    first = data.read(spoiled, "train", policy="drop")
    assert sorted(remembering) == ["empty.jpg", "text.jpg", "truncated.jpg"]  # these may have been mended
    remembering.clear()
    path = spoiled / "JPEGImages" / "a3.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert len(data.read(spoiled, "train", policy="drop")) == len(first) - 1
    assert "a3.jpg" in remembering


def test_values_a_memory_that_is_broken_or_barred_costs_nothing(spoiled, remembering, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "images.sqlite").write_bytes(b"no database" * 100)
    assert len(data.read(spoiled, "train", policy="drop")) == 6
    (tmp_path / "home" / "images.sqlite").unlink()
    (tmp_path / "home").rmdir()
    (tmp_path / "home").write_text("a file")
    assert len(data.read(spoiled, "train", policy="drop")) == 6


def test_values_the_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path))
    monkeypatch.setattr(whole, "MOST_REMEMBERED", 10)
    with whole._Memory() as memory:
        memory.keep({f"/{i}.jpg": (1, 2, 3, 4) for i in range(25)})
    with sqlite3.connect(tmp_path / "images.sqlite") as file:
        assert [row[0][-6:] for row in file.execute("SELECT path FROM whole")] == [f"{i}.jpg" for i in range(15, 25)]
    file.close()
