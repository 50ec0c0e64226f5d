"""Pre-annotations for annotation tools, and which images are worth labelling next."""

import dataclasses
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from cli_lookalike import make_images
from data_files import save_image
from PIL import Image
from training_toys import squares, toy

import keras_ssd
from keras_ssd import data
from keras_ssd.cli.main import main
from keras_ssd.detections import Detections
from keras_ssd.labelling import choose, uncertainty
from keras_ssd.labelling import labelling as labelling_module
from keras_ssd.labelling.features import features_of

NAMES = ("cat", "dog")
BOXES = {  # by the image's name: class, score, box
    "a": [("dog", 0.875, (1.25, 2, 30.1, 20)), ("cat", 0.625, (0, 0, 60, 40))],
    "b": [("dog", 0.5, (5, 5, 20, 20)), ("dog", 0.375, (5, 5, 5.5, 20)), ("cat", 0.375, (2, 3, 4, 5))],
    "c": [],
}


# -- what an image is worth ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "confidence", "worth"),
    [
        ([], 0.5, 0),
        ([0.5], 0.5, 1),
        ([1.0, 0.25, 0.1], 0.5, 0),
        ([0.75, 0.375], 0.5, 1),
        ([0.2, 0.6, 0.15], 0.2, 1 + 0.5 + 0.5),
        ([0.0, 1.0], 0.0, 0),
        ([1.0], 1.0, 0),
    ],
)
def test_values_uncertainty(scores, confidence, worth):
    assert uncertainty(scores, confidence) == pytest.approx(worth, abs=1e-9)


LOOKS = np.array([[0, 0], [0, 0.1], [4, 0], [4, 0.1], [0, 5]], np.float32)


def places(chosen):
    return [each.place for each in chosen]


def test_values_the_least_certain_and_most_different_are_chosen():
    doubts = [3.0, 2.9, 1.0, 2.0, 0.5]
    chosen = choose(doubts, LOOKS, 3)
    assert places(chosen) == [0, 3, 4]  # 1 looks like 0, and 2 like 3
    assert [each.uncertainty for each in chosen] == [3.0, 2.0, 0.5]
    assert chosen[0].distance == np.inf
    assert 1.5 < chosen[1].distance <= 2
    assert places(choose(doubts, LOOKS, 9)) == [0, 3, 4, *places(choose(doubts, LOOKS, 9))[3:]]
    assert sorted(places(choose(doubts, LOOKS, 9))) == [0, 1, 2, 3, 4]


def test_values_equal_images_go_by_uncertainty_then_by_order():
    assert places(choose([1.0, 2.0, 2.0, 0.0], np.zeros((4, 3)), 4)) == [1, 2, 0, 3]


def test_values_labelled_images_are_kept_away_from():
    doubts = [3.0, 2.9, 1.0, 1.1, 1.0]
    assert places(choose(doubts, LOOKS, 1)) == [0]
    assert places(choose(doubts, LOOKS, 1, known=LOOKS[:1])) == [3]


def test_values_a_copy_of_a_chosen_image_comes_last():
    looks = np.concatenate([LOOKS, LOOKS[:1]])
    assert places(choose([3.0, 0.1, 0.2, 0.3, 0.4, 3.0], looks, 6))[-1] == 5


def test_rejects_shapes():
    with pytest.raises(ValueError, match=r"one uncertainty and one row of features per image.*\(2,\).*\(5, 2\)"):
        choose([1, 2], LOOKS, 1)
    assert choose([], np.zeros((0, 3)), 3) == []


def test_values_features_are_means_of_the_maps_that_the_heads_read(tmp_path):
    model, images = toy(), [save_image(tmp_path / f"{seed}.png", seed=seed) for seed in range(3)]
    (tmp_path / "text.jpg").write_text("no image")
    found = features_of(model, [*images, str(tmp_path / "text.jpg")], batch_size=2)
    assert found[3] is None
    assert [row.shape for row in found[:3]] == [(16,)] * 3
    pixels = keras_ssd.images.resize_bilinear(keras_ssd.images.read_image(images[1]), model.input_size)
    import keras

    maps = keras.Model(model.inputs[0], model.get_layer("high").output).predict_on_batch(pixels[None])
    np.testing.assert_allclose(found[1], np.asarray(maps).mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    assert features_of(keras_ssd.with_decoder(model), images[:1])[0].shape == (16,)


# -- what is written ----------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three images, and a network whose detections are those of `BOXES`."""

    def detect(model, sources, *, confidence, on_error, classes=None, **options):
        assert options["batch_size"] == 8
        for path in sources:
            try:
                size_hw = keras_ssd.images.read_image(path).shape[:2]
            except ValueError as error:
                on_error(error)
                continue
            rows = BOXES[path.rpartition("/")[2].partition(".")[0]]
            rows = [row for row in rows if row[1] >= confidence and (classes is None or row[0] in classes)]
            ids, scores = [NAMES.index(row[0]) for row in rows], [row[1] for row in rows]
            boxes = np.array([row[2] for row in rows], np.float32).reshape(-1, 4)
            yield Detections(boxes, scores, np.array(ids, int), NAMES, size_hw, path)

    monkeypatch.setattr(labelling_module, "detect", detect)
    looks = {"a": [0, 0], "b": [0, 1], "c": [5, 5]}
    monkeypatch.setattr(
        labelling_module,
        "features_of",
        lambda model, images, **options: [np.array(looks[path.rpartition("/")[2][0]], np.float32) for path in images],
    )
    for seed, name in enumerate(BOXES):
        save_image(tmp_path / "photos" / f"{name}.jpg", seed=seed)
    return tmp_path / "photos"


def written(photos, format, **options):
    out = photos.parent / f"out_{format}"
    return keras_ssd.label(toy(), str(photos), out=out, format=format, confidence=0.375, **options), out


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "cvat"])
def test_roundtrip_what_is_written_is_read(photos, format):
    done, out = written(photos, format)
    assert (done.images, done.objects, done.confidence) == (3, 4, 0.375)
    assert [problem.what for problem in done.problems] == ["1 boxes are at most a pixel wide or high"]
    assert not done.picked
    read = data.read(out)
    assert read.classes == NAMES
    assert not read.problems
    for annotation in read:
        rows = [row for row in BOXES[annotation.name] if row[2][2] - row[2][0] > 1]
        np.testing.assert_array_equal(annotation.boxes_xyxy, np.array([r[2] for r in rows], np.float32).reshape(-1, 4))
        assert [NAMES[class_id] for class_id in annotation.class_ids] == [row[0] for row in rows]
        assert annotation.size_hw == (40, 60)


def test_values_coco_holds_scores(photos):
    _, out = written(photos, "coco")
    content = json.loads((out / "annotations" / "instances.json").read_text())
    assert [row["score"] for row in content["annotations"]] == [0.875, 0.625, 0.5, 0.375]


def test_values_cvat_says_that_boxes_are_automatic(photos):
    _, out = written(photos, "cvat")
    root = ElementTree.parse(out / "annotations.xml").getroot()
    assert [(box.get("source"), box.get("label")) for box in root.iter("box")] == [
        ("auto", "dog"),
        ("auto", "cat"),
        ("auto", "dog"),
        ("auto", "cat"),
    ]
    assert root.find("image/box").get("xbr") == "30.1"


def test_values_label_studio_gets_predictions(photos):
    """Keys and types of labelstud.io, "Import pre-annotated data"."""
    _, out = written(photos, "labelstudio", model_version="mine.keras")
    tasks = json.loads((out / "tasks.json").read_text())
    assert [task["data"]["image"][-21:] for task in tasks] == [f"out_labelstudio/images/{n}.jpg"[-21:] for n in "abc"]
    assert [len(task["predictions"]) for task in tasks] == [1, 1, 1]
    first, _, nothing = (task["predictions"][0] for task in tasks)
    assert (first["model_version"], first["score"]) == ("mine.keras", 0.75)
    assert (nothing["result"], nothing["score"]) == ([], 0.0)
    results = [row for task in tasks for row in task["predictions"][0]["result"]]
    assert len({row["id"] for row in results}) == 4
    for row in results:
        assert (row["type"], row["from_name"], row["to_name"]) == ("rectanglelabels", "label", "image")
        assert (row["original_width"], row["original_height"], row["image_rotation"]) == (60, 40, 0)
        assert {*row["value"]} == {"x", "y", "width", "height", "rotation", "rectanglelabels"}
        assert all(0 <= row["value"][side] <= 100 for side in ("x", "y", "width", "height"))
    assert (results[0]["score"], results[0]["value"]["rectanglelabels"]) == (0.875, ["dog"])
    np.testing.assert_allclose(results[0]["value"]["width"], 100 * 28.85 / 60, rtol=1e-6)
    config = ElementTree.parse(out / "label_config.xml").getroot()
    assert [label.get("value") for label in config.iter("Label")] == list(NAMES)


def test_roundtrip_label_studio_after_people_accepted_the_predictions(photos):
    _, out = written(photos, "labelstudio")
    tasks = json.loads((out / "tasks.json").read_text())
    accepted = [{"data": t["data"], "annotations": [{"result": t["predictions"][0]["result"]}]} for t in tasks]
    (out / "tasks.json").write_text(json.dumps(accepted))
    read = data.read(out)
    assert (read.classes, len(read), read.num_objects) == (NAMES, 3, 4)
    np.testing.assert_array_equal(read["a"].boxes_xyxy, np.array([row[2] for row in BOXES["a"]], np.float32))


def test_values_chosen_classes_alone_are_declared(photos):
    _, out = written(photos, "yolo", classes=["dog"])
    read = data.read(out)
    assert (read.classes, read.num_objects) == (("dog",), 2)


@pytest.mark.parametrize("format", ["coco", "labelstudio"])
def test_values_picked_images_alone_are_written(photos, format):
    done, out = written(photos, format, pick=2)
    assert [each.image for each in done.picked] == [str(photos / "b.jpg"), str(photos / "c.jpg")]
    assert [each.objects for each in done.picked] == [2, 0]
    assert sorted(each.name for each in (out / "images").iterdir()) == ["b.jpg", "c.jpg"]
    told = json.loads((out / "picked.json").read_text())
    assert [each["file"] for each in told["picked"]] == [each.image for each in done.picked]
    assert [each["distance"] is None for each in told["picked"]] == [True, False]
    assert "uncertainty  distance  boxes  image" in str(done)
    if format == "coco":  # the file of the order is no data
        assert (len(data.read(out)), data.read(out).problems) == (2, ())


def test_values_labelled_images_and_copies_are_left_out(photos, tmp_path):
    shutil.copyfile(photos / "a.jpg", photos / "copy of a.jpg")
    labelled = data.Dataset("x", NAMES, [data.Annotation("z", str(photos / "a.jpg"), [[1, 2, 3, 4]], [0], (40, 60))])
    done, out = written(photos, "voc", labelled=labelled)
    assert (done.images, done.known) == (2, 2)
    assert sorted(path.stem for path in (out / "Annotations").iterdir()) == ["b", "c"]
    everything = dataclasses.replace(
        labelled, annotations=[dataclasses.replace(labelled[0], name=n, image=str(photos / f"{n}.jpg")) for n in "abc"]
    )
    with pytest.raises(ValueError, match="No image is left to label: 4 are labelled already"):
        keras_ssd.label(toy(), photos, out=tmp_path / "other", format="voc", labelled=everything)


def test_values_names_in_folders_and_of_any_ending(photos):
    (photos / "deep").mkdir()
    Image.open(photos / "b.jpg").save(photos / "deep" / "a.png")
    Image.open(photos / "b.jpg").save(photos / "a.png")
    done, out = written(photos, "coco", recursive=True)
    assert done.images == 5
    names = {row["file_name"] for row in json.loads((out / "annotations" / "instances.json").read_text())["images"]}
    assert len(names) == 5
    assert "deep/a.png" in names


def test_values_an_image_that_cannot_be_read_is_told(photos):
    (photos / "a.jpg").write_text("no image")
    told = []
    done, _ = written(photos, "voc", on_error=told.append)
    assert done.images == 2
    assert ["a text file" in str(error) for error in told] == [True]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"format": "csv"}, "Unknown format 'csv'"),
        ({"pick": 0}, "`pick` must be a whole number from 1 on"),
        ({"images": "move"}, "images must be one of"),
    ],
)
def test_rejects_arguments(photos, options, what):
    with pytest.raises(ValueError, match=what):
        keras_ssd.label(toy(), str(photos), **{"out": photos.parent / "out", "format": "voc", **options})
    assert not (photos.parent / "out").exists()


def test_rejects_what_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="Pre-annotations belong to image files. Save this image first"):
        keras_ssd.label(toy(), [np.zeros((9, 9, 3), "uint8")], out=tmp_path / "out", format="voc")


def test_rejects_a_folder_with_annotations_and_leaves_it_alone(photos):
    out = photos.parent / "out_voc"
    out.mkdir()
    (out / "a.xml").write_text("by hand")
    with pytest.raises(ValueError, match="is there already, and may hold annotations that people made. Name a new"):
        written(photos, "voc")
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("a.xml", "by hand")]


def test_values_nothing_half_is_left(photos, monkeypatch):
    from keras_ssd.data.formats import cvat

    def fail(splits, target):
        target.text("annotations.xml", "half")
        raise OSError("no more")

    monkeypatch.setattr(cvat, "write", fail)
    with pytest.raises(OSError, match="no more"):
        written(photos, "cvat")
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


# -- the command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    toy().save(folder / "toy.keras")
    return str(folder / "toy.keras")


def test_values_the_command_with_a_real_network(trained, tmp_path, capsys):
    make_images(tmp_path)
    (tmp_path / "in" / "broken.jpg").write_text("no image")
    data.write(squares(2), tmp_path / "known", "yolo")
    words = ["label", str(tmp_path / "in"), "--weights", trained, "--format", "cvat", "--out", str(tmp_path / "out")]
    words += ["--pick", "2", "--labelled", str(tmp_path / "known"), "--confidence", "0.3", "--place", "link", "-q"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "broken.jpg" in err
    assert out.splitlines()[0].startswith(f"{tmp_path / 'out'}: 2 images, ")
    assert len(data.read(tmp_path / "out")) == 2
    assert main(words) == 2
    assert "is there already, and may hold annotations that people made" in capsys.readouterr().err


def test_values_the_command_offers_the_formats_of_python():
    from keras_ssd.cli import label

    assert label.FORMATS == labelling_module.FORMATS
