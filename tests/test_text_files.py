"""Every reader of text takes a byte order mark: UTF-8's, UTF-16's and UTF-32's."""

import codecs
import json

import pytest
from data_files import coco_file, save_image, voc_folder, voc_object, voc_xml

from keras_ssd import anchors, data, text_files
from keras_ssd.caffe.files import read_prototxt
from keras_ssd.cli.arguments import class_names
from keras_ssd.evaluation.formats import read_detections
from keras_ssd.formats import sniff

MARKED = {
    "utf-8": (codecs.BOM_UTF8, "utf-8"),
    "utf-16 little": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-16 big": (codecs.BOM_UTF16_BE, "utf-16-be"),
    "utf-32 little": (codecs.BOM_UTF32_LE, "utf-32-le"),
}
marked = pytest.mark.parametrize("mark", MARKED)


def mark_file(path, mark):
    start, encoding = MARKED[mark]
    path.write_bytes(start + path.read_text(encoding="utf-8").encode(encoding))
    return path


@marked
def test_values_text_has_no_mark(tmp_path, mark):
    path = tmp_path / "a.txt"
    path.write_text("chaussure à talon\nüber\n", encoding="utf-8")
    mark_file(path, mark)
    assert text_files.read_text(path) == "chaussure à talon\nüber\n"
    with text_files.open_text(path, 1 << 20) as file:
        assert file.readline() == "chaussure à talon\n"


@marked
def test_values_coco_json_with_a_mark(tmp_path, mark):
    save_image(tmp_path / "a.jpg")
    row = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}
    mark_file(coco_file(tmp_path / "result.json", annotations=[row]), mark)
    for path in (tmp_path, tmp_path / "result.json"):
        read = data.read(path)
        assert read.classes == ("cat", "dog")
        assert read[0].boxes_xyxy.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize("mark", list(MARKED)[:3])  # expat knows no UTF-32
def test_values_voc_xml_and_lists_with_a_mark(tmp_path, mark):
    voc_folder(tmp_path, {"a": voc_xml(voc_object("cat", 1, 2, 3, 4))})
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (tmp_path / "ImageSets" / "Main" / "cat_train.txt").write_text("a  1\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    for name in ("Annotations/a.xml", "ImageSets/Main/train.txt", "ImageSets/Main/cat_train.txt", "classes.txt"):
        mark_file(tmp_path / name, mark)
    read = data.read(tmp_path, "train")
    assert read.splits == ("train",)
    assert read.classes == ("cat",)
    assert read.num_objects == 1


@marked
def test_values_yolo_files_with_a_mark(tmp_path, mark):
    save_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("1 .5 .5 .2 .2\n")
    (tmp_path / "list.txt").write_text("images/a.jpg\n")
    (tmp_path / "data.yaml").write_text("train: list.txt\nnames: [cat, dog]\n")
    for name in ("labels/a.txt", "list.txt", "data.yaml"):
        mark_file(tmp_path / name, mark)
    read = data.read(tmp_path, "train")
    assert read.classes == ("cat", "dog")
    assert read[0].class_ids.tolist() == [1]


@marked
def test_values_csv_with_a_mark(tmp_path, mark):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "train.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n")
    mark_file(tmp_path / "train.csv", mark)
    assert data.read(tmp_path / "train.csv")[0].boxes_xyxy.tolist() == [[1, 2, 3, 4]]


@marked
def test_values_detections_label_lists_and_anchors_with_a_mark(tmp_path, mark):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "data.json")
    dataset = data.read(tmp_path / "data.json")
    row = {"image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "results.json").write_text(json.dumps([row]))
    (tmp_path / "results.csv").write_text("image,class,score,xmin,ymin,xmax,ymax\na,dog,0.5,1,2,4,6\n")
    (tmp_path / "comp4_det_test_dog.txt").write_text("a 0.5 2 3 4 6\n")
    for name in ("results.json", "results.csv", "comp4_det_test_dog.txt"):
        found = read_detections(mark_file(tmp_path / name, mark), dataset)
        assert found.boxes_xyxy.tolist() == [[1, 2, 4, 6]], name
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert class_names(str(mark_file(tmp_path / "names.txt", mark))) == ("cat", "dog")
    (tmp_path / "anchors.json").write_text(json.dumps(anchors.named_spec("ssd300_voc").to_dict()))
    assert anchors.read_spec(mark_file(tmp_path / "anchors.json", mark)).num_anchors == 8732


@marked
def test_values_prototxt_with_a_mark(tmp_path, mark):
    path = tmp_path / "deploy.prototxt"
    path.write_text('name: "net"\nlayer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }\n')
    mark_file(path, mark)
    assert read_prototxt(path).name == "net"
    assert sniff(path) == "prototxt"


def test_rejects_what_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"cat\xff\n")
    with pytest.raises(ValueError, match=r"it is not UTF-8 text \(invalid start byte: byte 0xff\)\. Save it as UTF-8"):
        text_files.read_text(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_bytes(codecs.BOM_UTF16_LE + b"a")
    with pytest.raises(ValueError, match="it is not UTF-16 text"):
        text_files.read_text(tmp_path / "b.txt")
    (tmp_path / "c.txt").write_bytes(b"a\0b")
    with pytest.raises(ValueError, match="it has zero bytes"):
        text_files.read_text(tmp_path / "c.txt")
    with pytest.raises(ValueError, match="larger than 0 MiB"):
        text_files.read_text(tmp_path / "c.txt", 2)
