"""`evaluate`: from a detector to figures, matched by name; runs that are interrupted, and what is refused."""

import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from detection_tables import assert_equal
from PIL import Image
from training_toys import squares, toy

import keras_ssd
from keras_ssd.data import Annotation, Dataset, Sample
from keras_ssd.decoding import Confidence
from keras_ssd.detections import Detections
from keras_ssd.evaluation import (
    Collector,
    DetectionTable,
    collect,
    evaluate,
    merge,
    origin_of,
    read_detections,
    write_detections,
)
from keras_ssd.evaluation.journal import Journal, journal_path
from keras_ssd.evaluation.pairing import FALSE

BOX = [1, 2, 30, 40]


def pets(*names, classes=("cat", "dog"), **marks):
    """An image a name, each with a cat at the same place."""
    return Dataset("pets", classes, [Annotation(n, f"{n}.jpg", [BOX], [0], (80, 90), **marks) for n in names])


def table(*rows, names=("a", "b"), classes=("cat", "dog")):
    """Of (image, class id, score) rows, all with the box of the objects."""
    rows = np.array(rows, float).reshape(-1, 3)
    boxes = np.tile(np.array(BOX, float), (len(rows), 1))
    return DetectionTable(names, classes, rows[:, 0], rows[:, 1], rows[:, 2], boxes)


def test_values_the_origin_has_the_models_own_threshold():
    model = toy()
    assert origin_of(model).confidence is None
    model.confidence = Confidence(0.3, "found here")
    assert origin_of(model).confidence == 0.3


# -- matching by name ---------------------------------------------------------------------------------


def test_values_images_and_classes_are_matched_by_name(caplog):
    data = pets("a", "b")
    found = table((0, 1, 0.9), (0, 0, 0.8), (1, 1, 0.7), names=("b", "a"), classes=("dog", "cat"))
    result = evaluate(found, data, "voc12")
    assert result.map == result.per_class["cat"] == 1
    assert np.isnan(result.per_class["dog"])
    assert result.found.images == ("a", "b")
    assert result.found.image.tolist() == [0, 1, 1]
    assert result.found.class_ids.tolist() == [0, 0, 1]
    assert result.dataset is data
    assert not caplog.records


def test_rejects_images_of_another_size_than_stated(tmp_path):
    for name, size in (("a", (90, 80)), ("b", (80, 90)), ("gone", None)):
        if size:
            Image.new("RGB", size).save(tmp_path / f"{name}.png")
    stated = [Annotation(n, tmp_path / f"{n}.png", [BOX], [0], (80, 90)) for n in ("a", "gone")]
    found = table((0, 0, 0.9), names=("a", "gone"))
    assert evaluate(found, Dataset("pets", ("cat", "dog"), stated), "voc12").map == 0.5
    wrong = Dataset("pets", ("cat", "dog"), [stated[0], Annotation("b", tmp_path / "b.png", [BOX], [0], (80, 90))])
    for detector in (table((0, 0, 0.9)), toy()):
        with pytest.raises(ValueError, match=r"b\.png is 80 x 90 pixels, and its annotation says 90 x 80\. Correct"):
            evaluate(detector, wrong, "voc12")
    with pytest.raises(ValueError, match=r"b\.png is 80 x 90 pixels, and its annotation says 90 x 80\. Correct"):
        Sample.of(wrong["b"])


def test_values_classes_that_the_data_do_not_have_are_left_out(caplog):
    found = table((0, 0, 0.9), (0, 1, 0.99), (1, 2, 0.8), classes=("cow", "horse", "cat"))
    result = evaluate(found, pets("a", "b"), "voc12")
    assert result.map == 0.5
    assert result.found.class_names == ("cat", "dog")
    assert caplog.messages == ["2 detections are left out, of classes that pets does not have: cow, horse"]


def test_values_equal_scores_stand_as_they_were_found():
    data = Dataset("pets", ("cat",), [*pets("a").annotations, Annotation("b", "b.jpg", [], np.zeros(0, int), (80, 90))])
    data = data.with_classes(("cat",))
    hit_first = table((0, 0, 0.5), (1, 0, 0.5), classes=("cat",))
    miss_first = table((1, 0, 0.5), (0, 0, 0.5), classes=("cat",))
    assert [evaluate(found, data, "voc12").map for found in (hit_first, miss_first)] == [1, 0.5]


@pytest.mark.parametrize(
    ("found", "data", "message"),
    [
        (
            table(classes=("car", "dog")),
            pets("a", "b"),
            "has objects of cat, which the detector does not know.*cat may",
        ),
        (table(names=("a", "b", "q")), pets("a", "b"), "1 images that pets does not have. Unknown image 'q'"),
        (table(names=("a",)), pets("a", "b", "c"), "not seen 2 of the 3 images of pets: b, c. Evaluate it on"),
        (table(), pets("a", "b", difficult=[True]), "no objects to find"),
        (table(), pets("a", "b").filter(include="dog"), "no objects to find"),
        (table(), pets("a", "b").with_classes(("Cat", "dog"), {"cat": "Cat"}), "cat|Cat"),
    ],
    ids=["other classes", "unknown images", "unseen images", "difficult alone", "no objects", "case"],
)
def test_rejects_tables_that_do_not_fit(found, data, message):
    with pytest.raises(ValueError, match=message):
        evaluate(found, data)


def test_rejects_what_is_no_detector():
    with pytest.raises(TypeError, match="needs a detector that knows its classes.* Received: list"):
        evaluate([1], pets("a"))
    with pytest.raises(FileNotFoundError, match="There is no file nowhere.json"):
        evaluate("nowhere.json", pets("a"))


def test_rejects_before_the_model_runs(tmp_path):
    model, data = toy(), squares(2)
    for options, message in (
        ({"measure": "voc"}, "Unknown measure 'voc'"),
        ({"iou_threshold": 0}, "iou_threshold"),
        ({"confidence": 2}, "confidence must lie in"),
        ({"save": tmp_path / "d.xyz"}, "is not that of a format"),
        ({"save": tmp_path / "none" / "d.json"}, "There is no folder"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            evaluate(model, data, **options)
    with pytest.raises(ValueError, match="has objects of bright, dark, which the detector does not know"):
        evaluate(keras_ssd.ssd_small(classes=["cat"], input_size=(32, 32)), data)
    assert not any(tmp_path.iterdir())


# -- running ------------------------------------------------------------------------------------------


def test_values_collector_is_compact():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (200, 2))
    names = tuple(map(str, range(20)))
    found = Detections(np.hstack([corner, corner + 9]), rng.random(200), rng.integers(0, 20, 200), names, (120, 120))
    collector = Collector(found.class_names)
    tracemalloc.start()
    for image in range(500):
        collector.add(f"p{image}", found)
    whole = collector.table()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(whole) == 100_000
    assert peak < 100_000 * 120
    np.testing.assert_array_equal(whole.scores[-200:], found.scores)
    np.testing.assert_array_equal(whole.boxes_xyxy[:200], found.boxes_xyxy)
    with pytest.raises(ValueError, match="image 'p3' were added before"):
        collector.add("p3", found)
    with pytest.raises(ValueError, match="'q' have the classes a. Expected 0, 1"):
        collector.add("q", Detections.empty(("a",), (9, 9)))


@pytest.mark.numerical
def test_roundtrip_a_model_its_table_and_its_file(tmp_path):
    model, data = toy(), squares(5)
    result = evaluate(model, data, "voc12", save=tmp_path / "d.json", batch_size=2)
    assert len(result.found) > 20
    expected = list(model.detect([one.image for one in data], confidence=0.01, batch_size=2))
    assert [len(found) for found in expected] == np.bincount(result.found.image, minlength=5).tolist()
    np.testing.assert_array_equal(result.found.scores, np.concatenate([found.scores for found in expected]))
    for other in (result.found, tmp_path / "d.json", str(tmp_path / "d.json")):
        again = evaluate(other, data, "voc12")
        assert again.per_class == result.per_class
        assert_equal(again.found, result.found)
        assert again.anchors is None  # a file does not know them
    assert result.anchors == model.anchor_spec
    assert [split.name for split in result.analysis.misses][-1] == "anchors"
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]
    parts = [collect(model, data[place::2], batch_size=2) for place in range(2)]
    merged = evaluate(merge(parts), data, "voc12")
    assert merged.map == pytest.approx(result.map, abs=1e-12)
    np.testing.assert_allclose(merged.found.boxes_xyxy, result.found.boxes_xyxy, atol=1e-3)


@pytest.mark.numerical
def test_roundtrip_boxes_of_a_net_that_predicts_corners(tmp_path, caplog):
    model, data = toy(), squares(4)
    net = keras_ssd.SSD(model.inputs, model.outputs, decoding={"code_type": "corner"}, class_names=model.class_names)
    for layer in net.layers:
        if "offset" in layer.name or "box" in layer.name:
            layer.set_weights([60 * values for values in layer.get_weights()])
    result = evaluate(net, data, "voc12", save=tmp_path / "d.json")
    boxes = result.found.boxes_xyxy
    swapped = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    assert 0 < swapped.sum() < len(swapped)
    assert (result.pairing.verdicts[swapped] == FALSE).all()
    assert not [record for record in caplog.records if record.name == "keras_ssd"]
    assert result.report(tmp_path / "report").exists()
    for name in ("d.json", "c.json", "comp4.zip", "d.txt", "d.csv"):
        form = "coco" if name == "c.json" else None
        again = read_detections(write_detections(result.found, tmp_path / name, form, dataset=data), data)
        assert_equal(again, result.found)
        assert f"{swapped.sum()} of {len(boxes)} boxes have a negative side and overlap nothing" in caplog.text
        caplog.clear()


# -- interrupted --------------------------------------------------------------------------------------


class Stop(Exception):
    pass


def stopped_after(monkeypatch, count):
    """The run ends after so many images; a list of all that the network looked at."""
    add, seen = Journal.add, []

    def counting(journal, found):
        add(journal, found)
        seen.append(found)
        if len(seen) == count:
            raise Stop

    monkeypatch.setattr(Journal, "add", counting)
    return seen


@pytest.mark.parametrize("save", ["d.json", "d.zip", "d.csv"])
def test_roundtrip_an_interrupted_run_goes_on(tmp_path, monkeypatch, save):
    model, data = toy(), squares(7)
    whole = collect(model, data, batch_size=2, save=tmp_path / "whole.json")
    seen = stopped_after(monkeypatch, 3)
    with pytest.raises(Stop):
        collect(model, data, batch_size=2, save=tmp_path / save)
    assert not (tmp_path / save).exists()
    assert journal_path(tmp_path / save).name == f"{save}.part"
    assert_equal(collect(model, data, batch_size=2, save=tmp_path / save), whole)
    assert len(seen) == 3 + 5  # on after the first whole batch
    assert not journal_path(tmp_path / save).exists()
    assert_equal(read_detections(tmp_path / save, data), whole)


def test_rejects_the_beginning_of_another_run(tmp_path, monkeypatch):
    model, data = toy(), squares(3)
    stopped_after(monkeypatch, 1)
    with pytest.raises(Stop):
        collect(model, data, save=tmp_path / "d.json")
    for other, message in (
        ((toy(seed=1), data, {}), "the model was toy, weights .*, now toy, weights"),
        ((model, data, {"confidence": 0.5}), r"the confidence was 0.01, now 0.5. Remove it to start again"),
        ((model, squares(4), {}), "the images was 3, .* now 4"),
        ((model, data[[2, 1, 0]], {}), "the images was 3, .* now 3"),
    ):
        with pytest.raises(ValueError, match=f"d.json.part is from another run: {message}"):
            collect(*other[:2], save=tmp_path / "d.json", **other[2])
    journal_path(tmp_path / "d.json").write_text("something of the user's")
    with pytest.raises(ValueError, match="d.json.part exists"):
        collect(model, data, save=tmp_path / "d.json")
    assert journal_path(tmp_path / "d.json").read_text() == "something of the user's"


def test_values_a_model_that_is_made_anew_is_the_same(tmp_path, monkeypatch):
    data, save = squares(2), tmp_path / "d.json"
    models = [keras_ssd.with_decoder(toy(), keep_top_k=count) for count in (5, 5, 6)]
    stopped_after(monkeypatch, 1)
    with pytest.raises(Stop):
        collect(models[0], data, save=save)
    with pytest.raises(ValueError, match="the decoder's keep_top_k was 5, now 6. Remove it"):
        collect(models[2], data, save=save)
    assert_equal(collect(models[1], data, save=save), collect(models[0], data))


def test_roundtrip_a_journal_that_was_cut_or_damaged_anywhere(tmp_path):
    names, run = ("cat", "dog"), {"the confidence": 0.1, "the classes": ("cat", "dog")}
    found = [
        Detections([[i, 2, 30, 40], [1, 2, 3, 4.5]][:n], [0.5, 0.25][:n], [1, 0][:n], names, (50, 60 + i))
        for i, n in enumerate((0, 1, 2, 0))
    ]
    path = tmp_path / "j"
    journal = Journal(path, run)
    ends = [path.stat().st_size]
    for one in found:
        journal.add(one)
        ends.append(path.stat().st_size)
    journal.close()
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        for damage in (b"", b"\0\1\2") if length % 7 == 0 else (b"",):
            path.write_bytes(whole[:length] + damage)
            if damage and length < ends[0]:
                continue
            journal = Journal(path, run)
            kept = list(journal.found(names))
            assert len(kept) == sum(end <= length for end in ends[1:])
            assert kept == found[: len(kept)]
            for one in found[len(kept) :]:
                journal.add(one)
            journal.close()
            assert path.read_bytes() == whole
    flipped = bytearray(whole)
    flipped[ends[1] + 30] ^= 1
    path.write_bytes(flipped)
    journal = Journal(path, run)
    assert len(list(journal.found(names))) == 1
    journal.remove()
    assert not path.exists()


KILLED = """
import os, signal, sys
from training_toys import squares, toy
from keras_ssd.evaluation import collect
from keras_ssd.evaluation.journal import Journal
add, left = Journal.add, [3]
def counting(journal, found):
    add(journal, found)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.add = counting
collect(toy(), squares(6), batch_size=2, save=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_roundtrip_a_killed_run_goes_on(tmp_path, monkeypatch):
    paths = [str(Path(__file__).parent), str(Path(keras_ssd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "d.json")]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["d.json.part"]
    seen = stopped_after(monkeypatch, -1)
    model, data = toy(), squares(6)
    found = collect(model, data, batch_size=2, save=tmp_path / "d.json")
    assert len(seen) == 4
    assert_equal(found, collect(model, data, batch_size=2))
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


def test_values_saved_where_they_are_given(tmp_path):
    data = pets("a", "b")
    evaluate(table((0, 0, 0.9)), data, save=tmp_path / "d.csv")
    assert_equal(read_detections(tmp_path / "d.csv", data), table((0, 0, 0.9)))
    write_detections(table((0, 0, 0.9)), tmp_path / "d.json")
    result = evaluate(tmp_path / "d.json", data, "voc12", save=tmp_path / "d.zip")
    assert result.per_class["cat"] == 0.5
    assert_equal(read_detections(tmp_path / "d.zip", data), table((0, 0, 0.9)))


def test_values_no_bar_where_no_terminal_is(capsys):
    evaluate(toy(), squares(2), progress=True)
    assert capsys.readouterr().err == ""
