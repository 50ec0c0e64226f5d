"""Misspelt names on the command line: each is refused at once, with the name that was meant."""

import csv

import pytest
from PIL import Image

from keras_ssd.cli import main
from keras_ssd.names import files_nearby, nearest

MISSPELT = [
    ("detect DATA -w cels", "Did you mean 'ssd_small.cells'?"),
    ("detect DATA -w cels -w cells", "Did you mean 'ssd_small.cells'?"),
    ("detect DATA -w ssd_smal.cells", "Did you mean 'ssd_small.cells'?"),
    ("detect DATA -w cells --model ssd_smal", "Did you mean 'ssd_small' or"),
    ("detect DATA -w cells --class-names coc", "Unknown label set 'coc'. Did you mean 'coco'"),
    ("detect DATA -w cells --format jso --out OUT", "Unknown format 'jso'. Did you mean 'json' or 'jsonl'?"),
    ("detect DATA -w FOLDER/mnie.keras", "Did you mean FOLDER/mine.keras"),
    ("train DATA --out OUT --weights cels", "Did you mean 'ssd_small.cells'?"),
    ("train DATA --out OUT --weights FOLDER/mnie.keras", "Did you mean FOLDER/mine.keras"),
    ("train DATA --out OUT --model ssd_smal", "Did you mean 'ssd_small' or"),
    ("train DATA --out OUT --validation-set non", "Unknown validation set 'non'"),
    ("train DATA --out OUT --augment ligth", "Unknown augmentation 'ligth'. Did you mean 'light' or"),
    ("train DATA --out OUT --recipe modren", "Unknown recipe 'modren'. Did you mean 'modern'?"),
    (
        "train DATA --out OUT --validation-set none --anchors cels",
        "Unknown anchors 'cels'. Did you mean 'cells'? Known: general, cells. A",
    ),
    ("train DATA --out OUT --anchors FOLDER/mnie.json", "Did you mean FOLDER/mine.json"),
    ("train DATA --out OUT --validation-set none --weights-classes coc", "Did you mean 'coco'"),
    ("train DATA --out OUT --classes ract", "Unknown class 'ract'. Did you mean 'cat'?"),
    ("train DATA --out OUT --precision float23", "Did you mean float32?"),
    ("evaluate DATA --weights cels", "Did you mean 'ssd_small.cells'?"),
    ("evaluate DATA --model cels", "Did you mean 'ssd_small.cells'?"),
    ("evaluate DATA --model FOLDER/mnie.keras", "Did you mean FOLDER/mine.keras"),
    ("evaluate DATA --weights cells --model ssd_smal", "Did you mean 'ssd_small' or"),
    ("evaluate DATA --weights cells --measure voc21", "Did you mean voc12?"),
    ("evaluate DATA --weights cells --save OUT.jsn", "is not that of a format. Expected .json, .zip"),
    ("evaluate DATA --weights cells --save OUT.json --save-format cocoo", "Did you mean coco?"),
    ("evaluate DATA --detections FOLDER/mnie.json", "Did you mean FOLDER/mine.json"),
    ("doctor cels", "Did you mean 'ssd_small.cells'?"),
    ("doctor cells --model ssd_smal", "Did you mean 'ssd_small' or"),
    ("doctor cells --class-names coc", "Did you mean 'coco'"),
    ("data check FOLDER/dta.csv", "Did you mean FOLDER/data.csv"),
    ("data check DATA --format cvs", "Did you mean csv?"),
    ("data check DATA --class-names coc", "Did you mean 'coco'"),
    ("data check DATA --class-names FOLDER/naems.txt", "Did you mean FOLDER/names.txt"),
    ("data show DATA --anchors ssd300_vco", "Did you mean 'ssd300_voc' or"),
    ("data show DATA --augment ligth --out OUT.png", "Did you mean 'light' or"),
    ("data convert DATA --to yollo --out OUT", "Did you mean yolo?"),
    ("data convert DATA --to yolo --out OUT --classes ract", "Unknown class 'ract'. Did you mean 'cat'?"),
    ("anchors report DATA --anchors cels", "Did you mean 'ssd_small_cells'?"),
    ("anchors report DATA --anchors FOLDER/mnie.json", "Did you mean FOLDER/mine.json"),
    ("anchors report DATA --model mobilnet_v2", "Did you mean 'mobilenet_v2' or"),
    ("anchors fit DATA --method serch", "Did you mean search?"),
    ("convert cels -o OUT.keras", "Did you mean 'ssd_small.cells'?"),
    ("convert FOLDER/mnie.keras -o OUT.keras", "Did you mean FOLDER/mine.keras"),
    ("convert FOLDER/ned.prototxt FOLDER/mine.keras -o OUT.keras", "Did you mean FOLDER/net.prototxt"),
    ("zoo list --model ssd30", "Did you mean 'ssd300' or"),
    ("zoo show cels", "Did you mean 'ssd_small.cells'?"),
    ("zoo download cels", "Did you mean 'ssd_small.cells'?"),
    ("zoo download cells --formats caffemdel", "Did you mean 'caffemodel'?"),
    ("zoo inspect FOLDER/mnie.keras", "Did you mean FOLDER/mine.keras"),
    ("completion bsh", "Did you mean bash?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misspelt")
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    with open(folder / "data.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "xmin", "ymin", "xmax", "ymax", "class"), ("a.png", 1, 1, 9, 9, "cat")])
    for name in ("mine.keras", "mine.json", "names.txt", "net.prototxt"):
        (folder / name).write_text("")
    return folder


@pytest.mark.parametrize(("line", "hint"), MISSPELT, ids=[line for line, _ in MISSPELT])
def test_rejects_misspelt_names_with_the_one_that_was_meant(line, hint, folder, tmp_path, capsys):
    def placed(text):
        data = folder / ("a.png" if line.startswith("detect") else "data.csv")
        return text.replace("DATA", str(data)).replace("OUT", str(tmp_path / "out")).replace("FOLDER", str(folder))

    try:
        code = main(placed(line).split())
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert placed(hint) in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


def test_values_names_are_near_by_their_last_part_where_none_is_whole():
    known = ("ssd_small.cells", "ssd300.coco", "ssd512.coco", "resnet10_ssd.face")
    assert nearest("cels", known) == ["ssd_small.cells"]
    assert nearest("coc", known) == ["ssd300.coco", "ssd512.coco"]
    assert nearest("ssd300.coc", known)[0] == "ssd300.coco"
    assert nearest("xyz", known) == []


def test_values_files_nearby(tmp_path, monkeypatch):
    (tmp_path / "mine.keras").touch()
    assert files_nearby(tmp_path / "mnie.keras") == f" Did you mean {tmp_path / 'mine.keras'}?"
    assert files_nearby(tmp_path / "none" / "mine.keras") == ""
    monkeypatch.chdir(tmp_path)
    assert files_nearby("mine.kers") == " Did you mean mine.keras?"
