"""Class names as other programs' label files write them, and how they fit models of 20, 80, 90 and 91 columns."""

import json

import pytest

import keras_ssd
from keras_ssd import zoo
from keras_ssd.cli.arguments import class_names, class_words
from keras_ssd.zoo.label_files import read_label_file
from keras_ssd.zoo.label_fitting import class_list, fitted_columns, fitted_names

COCO, SLOTS, VOC = zoo.labels("coco"), zoo.slots("coco"), zoo.labels("voc")
GAPS = tuple("???" if name.startswith("unused ") else name for name in SLOTS)
THREE = ("person", "traffic light", "dog")
PBTXT = "".join(
    f'item {{\n  name: "/m/0{n}"\n  id: {n}\n  display_name: "{name}"\n}}\n' for n, name in enumerate(THREE, 1)
)
CAFFE = 'item {\n  name: "none_of_the_above"\n  label: 0\n  display_name: "background"\n}\n' + "".join(
    f"item {{ name: '{n}' label: {n} display_name: '{name}' }}\n" for n, name in enumerate(THREE, 1)
)
FILES = {
    "plain.txt": ("person\ntraffic light\ndog\n", THREE),
    "crlf.txt": ("person\r\ntraffic light\r\n\r\ndog\r\n", THREE),
    "mark.txt": ("\ufeffperson\ntraffic light\ndog", THREE),
    "comments.txt": ("# my classes\nperson\n// two\ntraffic light\n\ndog\n", THREE),
    "numbered.txt": ("1 person\n2 traffic light\n3 dog\n", THREE),
    "colons.txt": ("0: person\n1: traffic light\n2: dog\n", THREE),
    "padded.txt": ("0  person\n1  traffic light\n2  dog\n", THREE),
    "unordered.txt": ("3 dog\n1 person\n2 traffic light\n", THREE),
    "gap.txt": ("1 person\n2 traffic light\n4 dog\n", ("person", "traffic light", "???", "dog")),
    "ids.txt": ("7 dog\n3 person\n", ("person", "dog")),
    "table.csv": ("person,0\ntraffic light,1\ndog,2\n", THREE),
    "headed.csv": ("id,name\n1,person\n2,traffic light\n3,dog\n", THREE),
    "tabs.tsv": ("person\t1\ntraffic light\t2\ndog\t3\n", THREE),
    "quoted.txt": ('"person"\n"traffic light"\n"dog"\n', THREE),
    "synsets.txt": ("n02084071 dog\nn00007846 person, individual\n", ("dog", "person, individual")),
    "background.txt": ("__background__\nperson\n", ("__background__", "person")),
    "list.json": (json.dumps(THREE), THREE),
    "ids.json": (json.dumps({"0": "person", "1": "traffic light", "2": "dog"}), THREE),
    "numbers.json": (json.dumps({"dog": 2, "person": 0, "traffic light": 1}), THREE),
    "config.json": (json.dumps({"model": 1, "id2label": {"0": "N/A", "1": "person"}}), ("N/A", "person")),
    "coco.json": (json.dumps({"categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]}), ("cat", "dog")),
    "map.pbtxt": (PBTXT, THREE),
    "labelmap.prototxt": (CAFFE, ("background", *THREE)),
    "data.yaml": ("nc: 3\nnames: [person, traffic light, dog]\n", THREE),
    "numbers.yaml": ("names:\n  0: person\n  1: traffic light\n  2: dog\n", THREE),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_values_label_files(name, tmp_path):
    text, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_label_file(path) == expected
    assert class_names(str(path)) == expected


def test_values_label_files_in_utf16_and_of_the_shelf(tmp_path):
    path = tmp_path / "wide.txt"
    path.write_text("person\ncafé\n", encoding="utf-16")
    assert read_label_file(path) == ("person", "café")
    for name in zoo.label_sets():
        if name != "face":  # a list of one
            path.write_text("\n".join(zoo.labels(name)), encoding="utf-8")
            assert read_label_file(path) == zoo.labels(name)


REFUSED = {
    "empty.txt": (b"\n# nothing\n", "is empty"),
    "image.txt": (b"\xff\xd8\xff\xe0", "cannot be read: it is not UTF-8 text"),
    "broken.json": (b'["a", ', "holds no class names as json"),
    "other.json": (b'{"a": {"b": 1}}', "Expected a list of names"),
    "nameless.pbtxt": (b"item { id: 1 }", "has an item without a name: id: 1"),
    "letters.pbtxt": (b"item { id: x name: 'a' }", "numbers a class 'x'"),
    "broken.yaml": (b"names: [a", "is not yaml"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rejects_label_files(name, tmp_path):
    content, message = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_label_file(tmp_path / name)


# -- fitting ----------------------------------------------------------------------------------------

FITS = {
    "80 of 80": (COCO, 80, COCO),
    "80 of 90": (COCO, 90, SLOTS),
    "90 of 90": (GAPS, 90, SLOTS),
    "91 of 90": (("???", *GAPS), 90, SLOTS),
    "91 of 80": (("???", *GAPS), 80, COCO),
    "torchvision's 91 of 90": (("__background__", *("N/A" if n == "???" else n for n in GAPS)), 90, SLOTS),
    "81 of 80": (("background", *COCO), 80, COCO),
    "81 of 90": (("background", *COCO), 90, SLOTS),
    "21 of 20": (("__background__", *VOC), 20, VOC),
    "20 of 20": (VOC, 20, VOC),
    "Caffe's 21 of 20": (("none_of_the_above", *VOC), 20, VOC),
    "201 of 200": (("background", *zoo.labels("ilsvrc")), 200, zoo.labels("ilsvrc")),
    "a class called none": (("none", "mild"), 2, ("none", "mild")),
    "nothing known of the model": (("???", *GAPS), None, COCO),
}


@pytest.mark.parametrize("name", FITS)
def test_values_label_maps_fit(name):
    given, count, expected = FITS[name]
    assert fitted_names("classes", given, count) == expected


def test_values_columns_of_no_class_are_told_apart():
    columns = fitted_columns("classes", COCO, 90)
    assert [place for place, name in enumerate(columns, 1) if name is None] == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_values_other_numbers_do_not_fit():
    assert fitted_columns("classes", VOC, 80) is None
    assert fitted_columns("classes", COCO[:-1], 90) is None
    assert fitted_columns("classes", ("background", "cat"), 2) is None


def test_values_classes_of_a_model_to_be_made(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(("???", *GAPS)))
    assert class_list("classes", path) == class_list("classes", str(path)) == class_list("classes", "coco") == COCO
    assert class_list("classes", ["background", "cat"]) == ("cat",)
    assert class_words(str(path)) == class_words("coco") == COCO
    assert class_words("person, dog") == ("person", "dog")
    with pytest.raises(ValueError, match="background"):
        class_list("classes", ["cat", "background"])


@pytest.mark.numerical
def test_values_models_take_label_files(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("background\ncat\ndog\n")
    model = keras_ssd.ssd7(classes=path, input_size=(64, 64))
    assert model.class_names == ("cat", "dog")
    model.class_names = ["__background__", "car", "bus"]
    assert model.class_names == ("car", "bus")
    assert keras_ssd.with_classes(model, ["background", "car"]).class_names == ("car",)
    with pytest.raises(ValueError, match="must name the model's 2 classes"):
        model.class_names = "coco"


# -- Google's file, as it is downloaded -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.numerical
@pytest.mark.parametrize("given", ["file", "coco", None])
def test_reference_googles_labels_fit_its_detector(given, shared):
    folder = shared("weights", "coco_ssd_mobilenet_v1")
    names = folder / "coco_labels.txt" if given == "file" else given
    model = keras_ssd.open_model(folder / "detect.tflite", class_names=names)
    expected = [line for line in (folder / "coco_labels.txt").read_text().splitlines() if line != "???"]
    assert len(model.class_names) == 80
    assert model.class_names == COCO
    assert len(expected) == 80
