"""The shelf: what the catalogue must hold, and what it refuses to be."""

import re
import tomllib
from collections import Counter
from dataclasses import FrozenInstanceError
from urllib.parse import parse_qs, urlsplit

import pytest

from keras_ssd import zoo
from keras_ssd.zoo import cards, catalog, schema, shelf

# The 14 original models: name -> (label set, scales, base name of the .caffemodel and the .h5).
ORIGINALS = {
    "ssd300.voc07+12": ("voc", "voc", "VGG_VOC0712_SSD_300x300_iter_120000"),
    "ssd512.voc07+12": ("voc", "voc", "VGG_VOC0712_SSD_512x512_iter_120000"),
    "ssd300.voc07++12": ("voc", "voc", "VGG_VOC0712Plus_SSD_300x300_iter_240000"),
    "ssd512.voc07++12": ("voc", "voc", "VGG_VOC0712Plus_SSD_512x512_iter_240000"),
    "ssd300.coco-voc": ("voc", "coco", "VGG_coco_SSD_300x300"),
    "ssd512.coco-voc": ("voc", "coco", "VGG_coco_SSD_512x512"),
    "ssd300.voc07+12+coco": ("voc", "coco", "VGG_VOC0712_SSD_300x300_ft_iter_120000"),
    "ssd512.voc07+12+coco": ("voc", "coco", "VGG_VOC0712_SSD_512x512_ft_iter_120000"),
    "ssd300.voc07++12+coco": ("voc", "coco", "VGG_VOC0712Plus_SSD_300x300_ft_iter_160000"),
    "ssd512.voc07++12+coco": ("voc", "coco", "VGG_VOC0712Plus_SSD_512x512_ft_iter_160000"),
    "ssd300.coco": ("coco", "coco", "VGG_coco_SSD_300x300_iter_400000"),
    "ssd512.coco": ("coco", "coco", "VGG_coco_SSD_512x512_iter_360000"),
    "ssd300.ilsvrc": ("ilsvrc", "voc", "VGG_ILSVRC2016_SSD_300x300_iter_440000"),
    "ssd500.ilsvrc": ("ilsvrc", None, "VGG_ilsvrc15_SSD_500x500_iter_480000"),
}
ALL = zoo.entries()
SOURCES = [(entry, source) for entry in ALL for source in entry.sources]


@pytest.mark.parametrize("name", ORIGINALS)
def test_values_originals(name):
    classes, scales, base = ORIGINALS[name]
    entry = zoo.find(name)
    assert (entry.classes, entry.scales) == (classes, scales)
    assert entry.anchors_truncated is (True if scales else None)
    assert not entry.anchors_clipped
    assert entry.preprocessing.colour == "bgr"
    assert entry.preprocessing.mean_rgb == (123, 117, 104)
    files = {source.format: source.file for source in entry.sources if source.format != "pth"}
    assert files["ssd_keras_h5"] == f"{base}.h5"
    assert files["caffemodel"] == f"{base}.caffemodel"
    assert entry.readable
    assert entry.described is (entry.model == "ssd500")
    for source in entry.sources:
        assert zoo.by_file_name(source.file) is entry


def test_values_every_set_that_saw_coco_has_coco_scales():
    for entry in ALL:
        if entry.scales and entry.classes != "ilsvrc":
            assert (entry.scales == "coco") == ("coco" in entry.tag), entry.name


def test_values_published_results():
    def first(name):
        result = zoo.find(name).results[0]
        return result.value, result.dataset

    assert first("ssd300.voc07+12") == (77.2, "VOC2007 test")
    assert first("ssd512.voc07+12") == (79.8, "VOC2007 test")
    assert first("ssd512.voc07+12+coco") == (83.2, "VOC2007 test")
    assert first("ssd512.voc07++12+coco") == (82.3, "VOC2012 test")
    assert first("ssd300.coco") == (25.1, "COCO test-dev2015")


def test_values_two_readable_hosts_for_voc0712():
    for model in ("ssd300", "ssd512"):
        readable = zoo.find("voc07+12", model=model).readable_sources
        formats = [source.format for source in readable]
        assert formats[:4] == ["ssd_keras_h5", "chainercv_npz", "caffemodel", "caffemodel"]
        assert len({urlsplit(source.url).hostname for source in readable[:4]}) == 3


def test_values_published_sizes_and_checksums():
    tarball = next(s for s in zoo.find("ssd300.voc07++12+coco").sources if s.size)
    assert tarball.size == 97_789_219
    assert tarball.checksum.startswith("sha384:2c96cb2aeb08044b")
    assert tarball.checksum.endswith("92a355559c3c")
    assert tarball.archive == "models_VGGNet_VOC0712Plus_SSD_300x300_ft.tar.gz"
    assert zoo.find("ssd300.coco-torchvision").sources[0].checksum.startswith("sha256:b556d3b4")
    assert zoo.find("ssd512.coco-mmdetection").sources[0].checksum == "sha256_prefix:0a47a1ca"


def test_values_names_and_urls_are_unique():
    assert [name for name, count in Counter(entry.name for entry in ALL).items() if count > 1] == []
    assert [url for url, count in Counter(source.url for _, source in SOURCES if source.url).items() if count > 1] == []


def test_values_a_file_name_belongs_to_one_set():
    owners = {}
    for entry, source in SOURCES:
        for name in (source.file, source.archive):
            if name:
                owners.setdefault(name, set()).add(entry.name)
    assert {name: sets for name, sets in owners.items() if len(sets) > 1} == {}


@pytest.mark.parametrize(("entry", "source"), SOURCES, ids=[source.url or source.file for _, source in SOURCES])
def test_values_sources_are_well_formed(entry, source):
    parts = urlsplit(source.url or "")
    assert source.bundled is (parts.scheme not in ("http", "https"))
    assert source.file.endswith(zoo.formats()[source.format].extension)
    if parts.hostname == "drive.google.com":
        assert parts.path == "/open"
        assert re.fullmatch(r"[\w-]{28}|[\w-]{33}", parse_qs(parts.query)["id"][0])
    elif source.archive:
        assert parts.path.endswith("/" + source.archive)
    if source.checksum:
        _, digits = schema.split_checksum(source.checksum)
        assert len(set(digits)) > 3


def test_values_label_sets():
    voc, coco, ilsvrc = map(zoo.labels, ("voc", "coco", "ilsvrc"))
    assert [len(names) for names in (voc, coco, ilsvrc)] == [20, 80, 200]
    assert voc == tuple(sorted(voc))
    assert (voc[0], voc[10], voc[14], voc[19]) == ("aeroplane", "diningtable", "person", "tvmonitor")
    assert (coco[0], coco[11], coco[79]) == ("person", "stop sign", "toothbrush")
    assert ilsvrc[:4] == ("accordion", "airplane", "ant", "antelope")
    assert zoo.labels("cells") == ("RBC", "WBC", "Platelets")
    assert ilsvrc[197:] == ("whale", "wine_bottle", "zebra")
    for names in (voc, coco, ilsvrc):
        assert len(set(names)) == len(names)
        assert all(name == name.strip() for name in names)
        assert "background" not in names


def test_values_label_ids():
    coco = zoo.label_ids("coco")
    assert list(coco) == [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
    ilsvrc = zoo.label_ids("ilsvrc")
    assert ilsvrc[0] == "n02672831"
    assert len(set(ilsvrc)) == 200
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in ilsvrc)
    with pytest.raises(ValueError, match="no identifiers"):
        zoo.label_ids("voc")


def test_reference_coco_names_of_the_annotations(shared):
    import json

    path = shared("data", "coco_sample", "annotations", "instances_sample.json")
    categories = json.loads(path.read_text())["categories"]
    assert [(c["id"], c["name"]) for c in categories] == list(
        zip(zoo.label_ids("coco"), zoo.labels("coco"), strict=True)
    )


def test_reference_coco_to_voc_map():
    """The numbers of Caffe's coco_voc_map.txt: COCO label -> VOC label, both counted from 1."""
    pairs = "5>1 2>2 15>3 9>4 40>5 6>6 3>7 16>8 57>9 20>10 61>11 17>12 18>13 4>14 1>15 59>16 19>17 58>18 7>19 63>20"
    coco, voc = zoo.labels("coco"), zoo.labels("voc")
    wanted = {coco[int(a) - 1]: voc[int(b) - 1] for a, b in (pair.split(">") for pair in pairs.split())}
    assert zoo.same_classes("coco", "voc") == wanted
    assert list(zoo.same_classes("coco", "voc").values()) == list(voc)


def test_values_label_sets_of_the_catalogue_exist():
    for entry in ALL:
        if entry.classes:
            assert zoo.labels(entry.classes)
            assert entry.slots is None or entry.slots > len(zoo.labels(entry.classes))


def test_values_find():
    assert zoo.find("voc07+12", model="ssd512").name == "ssd512.voc07+12"
    assert zoo.find("ssd512.voc07+12", model="ssd512") is zoo.find("ssd512.voc07+12")
    assert zoo.find("imagenet").name == "vgg16.imagenet"  # only one network has this tag
    assert {entry.model for entry in zoo.entries(model="ssd300")} == {"ssd300"}
    assert {e.name for e in zoo.entries(readable=True)} >= set(ORIGINALS)
    assert not any(entry.readable for entry in zoo.entries(readable=False))


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("ssd300.voc07+13", None, r"Unknown weights.*mean 'ssd300\.voc07\+12'"),
        ("voc0712", "ssd300", r"Unknown weights 'voc0712'. Did you mean.*'voc07\+12'"),
        ("voc07+12", None, r"several models.*'ssd300\.voc07\+12', 'ssd512\.voc07\+12'"),
        ("ssd512.coco", "ssd300", r"'ssd512\.coco' do not belong to ssd300"),
        ("coco", "ssd3000", r"Unknown model 'ssd3000'\. Did you mean 'ssd300'"),
        ("", None, r"Unknown weights ''"),
    ],
)
def test_rejects_unknown_names(name, model, message):
    with pytest.raises(ValueError, match=message):
        zoo.find(name, model=model)


def test_values_by_file_name():
    assert zoo.by_file_name("/home/me/VGG_coco_SSD_300x300_iter_400000.h5").name == "ssd300.coco"
    assert zoo.by_file_name("models_VGGNet_VOC0712Plus_SSD_512x512.tar.gz").name == "ssd512.voc07++12"
    assert zoo.by_file_name("mine.h5") is None
    assert zoo.by_file_name("") is None


def test_rejects_unknown_label_sets():
    with pytest.raises(ValueError, match=r"Unknown label set 'vok'. Did you mean 'voc'"):
        zoo.labels("vok")
    with pytest.raises(ValueError, match="Unknown label set"):
        zoo.labels("../catalog")
    with pytest.raises(ValueError, match="Unknown pair of label sets"):
        zoo.same_classes("voc", "ilsvrc")


def test_values_describe_tells_everything():
    card = zoo.describe("ssd300.voc07++12+coco")
    for text in (
        "300 x 300",
        "20 (voc)",
        "COCO, cut to whole pixels: yes",
        "79.4 % mAP",
        "97.8 MB",
        "not comparable",
    ):
        assert text in card
    assert "does not build the model" in zoo.describe("resnet10_ssd.face")
    assert "_480000.caffemodel and deploy.prototxt in models_VGGNet_ilsvrc15" in zoo.describe("ssd500.ilsvrc")
    assert "80 (coco), in 91 slots" in zoo.describe("ssd300.coco-torchvision")
    for entry in ALL:
        assert all(source.origin in zoo.describe(entry) for source in entry.sources)


def test_values_cards_are_on_the_shelf():
    for model in ("mobilenet_ssd", "ssd300", "ssd512", "ssd_small"):
        text = (shelf.shelf() / "cards" / f"{model}.md").read_text(encoding="utf-8")
        # A card may only state what the catalogue states.
        stated = {cards.percent_text(r.value) for entry in zoo.entries(model=model) for r in entry.results}
        told = set(re.findall(r"\d\d\.\d+", text.partition("## Results")[2].partition("##")[0]))
        assert told
        assert told <= stated


def test_rejects_changing_an_entry():
    with pytest.raises(FrozenInstanceError):
        zoo.find("ssd300.coco").tag = "x"


# The smallest catalogue that passes, to break in one place at a time.
SMALL = """
schema = 1
[formats.ssd_keras_h5]
title = "HDF5"
extension = ".h5"
readable = true
[models.ssd300]
title = "SSD300"
available = true
[preprocessing.p]
colour = "bgr"
mean_rgb = [1, 2, 3]
scale = 1.0
[[weights]]
model = "ssd300"
tag = "t"
trained_on = "x"
licence = "y"
preprocessing = "p"
sources = [{ format = "ssd_keras_h5", url = "https://example.org/a.h5", file = "a.h5" }]
results = [{ dataset = "d", measure = "mAP", value = 50, source = "s" }]
"""


def test_roundtrip_small_catalogue():
    formats, models, sets = catalog.read(SMALL)
    assert (list(formats), list(models)) == (["ssd_keras_h5"], ["ssd300"])
    assert sets[0].name == "ssd300.t"
    assert sets[0].preprocessing.mean_rgb == (1, 2, 3)
    assert sets[0].results[0].value == 50


ROW = SMALL.partition("[[weights]]")[2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema must be 1"),
        ("schema = 1", "schema = 1\nother = 3", "Unknown table 'other'"),
        (
            "[preprocessing.p]",
            "[preprocesing.p]",
            "Unknown table 'preprocesing'. Did you mean 'preprocessing'",
        ),
        ('tag = "t"', "", r"ssd300\.\?\) has no 'tag'"),
        ('tag = "t"', 'tag = "T t"', "tag must be of letters"),
        ('tag = "t"', 'tag = "t"\nscale = "voc"', "Unknown field 'scale'. Did you mean 'scales'"),
        ('tag = "t"', 'tag = "t"\nscales = "vok"', "Unknown scales 'vok'. Did you mean 'voc'"),
        ('tag = "t"', 'tag = "t"\nslots = true', "slots must be of type int"),
        ('model = "ssd300"', 'model = "ssd301"', "Unknown model 'ssd301'. Did you mean 'ssd300'"),
        ('licence = "y"', "licence = 3", "licence must be of type str"),
        ('preprocessing = "p"', 'preprocessing = "q"', "Unknown preprocessing 'q'"),
        ("[1, 2, 3]", "[1, 2]", "mean_rgb must be three numbers"),
        ('colour = "bgr"', 'colour = "brg"', "Unknown colour 'brg'. Did you mean .*'bgr'"),
        ("available = true", "available = true\ninput_size = [300]", "input_size must be"),
        ("https://", "ftp://", "must be an http or https address"),
        ("https://example.org", "https://", "must be an http or https address"),
        ('"a.h5" }', '"../a.h5" }', "file must be a bare file name"),
        ('"a.h5" }', '"C:a.h5" }', "file must be a bare file name"),
        ('"a.h5" }', '"a.h5", size = 0 }', "size must be positive"),
        ('"a.h5" }', '"a.h5", size = "1" }', "size must be of type int"),
        ('"a.h5" }', '"a.h5", checksum = "sha256:12" }', "checksum must be 'algorithm:lower-case hex'"),
        ('"a.h5" }', '"a.h5", checksum = "crc32:12345678" }', "checksum must be"),
        ('"a.h5" }', '"a.h5", member = "x" }', "member is given without archive"),
        ('"a.h5" }', '"a.h5", prototxt = "x" }', "prototxt is a member of the archive that holds a caffemodel"),
        ('"a.h5" }', '"a.h5", sise = 1 }', "source 1: Unknown field 'sise'. Did you mean 'size'"),
        ('format = "ssd_keras_h5"', 'format = "h5"', "Unknown format 'h5'"),
        ("value = 50", "value = 5000", "value must be per cent"),
        ("value = 50, ", "", "result 1 has no 'value'"),
        ("[[weights]]", "[[weights]]" + ROW + "[[weights]]", "occurs twice"),
        ('title = "SSD300"', "title = ", "catalog.toml: "),
    ],
)
def test_rejects_malformed_catalogues(old, new, message):
    assert old in SMALL
    with pytest.raises(ValueError, match=message):
        catalog.read(SMALL.replace(old, new, 1))


def test_values_catalogue_file_holds_no_other_tables():
    document = tomllib.loads((shelf.shelf() / "catalog.toml").read_text(encoding="utf-8"))
    assert set(document) == {"schema", "formats", "models", "preprocessing", "weights"}
    assert {row["model"] for row in document["weights"]} == set(document["models"])
    used = {source["format"] for row in document["weights"] for source in row["sources"]}
    assert used == set(document["formats"])


def test_values_shelf_in_a_wheel_comes_first(tmp_path, monkeypatch):
    package = tmp_path / "keras_ssd" / "zoo"
    (package / "data").mkdir(parents=True)
    monkeypatch.setattr(shelf, "__file__", str(package / "shelf.py"))
    with pytest.raises(FileNotFoundError, match="Install keras-ssd again"):
        shelf.shelf()
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "catalog.toml").touch()
    assert shelf.shelf() == tmp_path / "zoo"
    (package / "data" / "catalog.toml").touch()
    assert shelf.shelf() == package / "data"
