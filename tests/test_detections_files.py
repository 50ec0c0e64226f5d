"""Files of detections: written, read back equal, and refused with file and line."""

import json
import zipfile

import numpy as np
import pytest
from detection_tables import CLASSES, FILES, ROWS, SIZE_HW, assert_equal, dataset, random_table, table
from hypothesis import given
from hypothesis import strategies as st

from keras_ssd import zoo
from keras_ssd.data import Annotation, Dataset
from keras_ssd.detections import Detections
from keras_ssd.evaluation import merge, read_detections, write_detections
from keras_ssd.evaluation.formats import FORMATS, rounding
from keras_ssd.evaluation.formats.text import exclusive, inclusive


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count", [0, 300])
def test_roundtrip_every_format(tmp_path, format, count):
    found, data = random_table(count=count), dataset()
    path = write_detections(found, tmp_path / FILES[format], format, dataset=data)
    assert_equal(read_detections(path, data), found)
    assert_equal(read_detections(path, data, format), found)
    before = path.read_bytes()
    assert write_detections(found, path, format, dataset=data).read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_roundtrip_a_folder_of_vocs_files(tmp_path):
    found = random_table()
    folder = write_detections(found, tmp_path / "results")
    assert sorted(path.name for path in folder.iterdir()) == [f"comp4_det_test_{name}.txt" for name in sorted(CLASSES)]
    assert_equal(read_detections(folder, dataset()), found)
    with pytest.raises(ValueError, match="results exists already. Name a new folder"):
        write_detections(found, folder)


@given(
    st.lists(
        st.one_of(
            st.floats(-(2**20), 2**20, width=32).map(lambda x: float(np.float32(round(x * 2**10) / 2**10))),
            st.floats(2**-20, 4096, width=32),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_roundtrip_of_any_coordinate(values):
    values = np.array(values, np.float32)
    boxes = np.stack([values, values[::-1]] * 2, axis=1)
    file = inclusive(boxes)
    np.testing.assert_array_equal(np.stack(exclusive(*file.T), axis=1).astype(np.float32), boxes)
    low, high = np.sort(np.abs(boxes[:, :2]), axis=1).T
    start = rounding.shortest(low)
    np.testing.assert_array_equal((start + rounding.shortest_from(high, start)).astype(np.float32), high)
    assert rounding.shortest(np.float32([0.9, 100.1])).tolist() == [0.9, 100.1]


def test_values_of_each_format(tmp_path):
    found, data = table(*ROWS), dataset()
    write_detections(found, tmp_path / "d.json")
    lines = (tmp_path / "d.json").read_text().splitlines()
    assert json.loads(lines[0] + "]}")["class_names"] == list(CLASSES)
    assert lines[3] == '{"name": "p2", "class_ids": [1], "scores": [0.1], "boxes_xyxy": [[10.1, 5.0, 60.3, 9.0]]},'
    write_detections(found, tmp_path / "c.json", "coco", dataset=data)
    first, _, last = json.loads((tmp_path / "c.json").read_text())
    assert first == {"image_id": 1, "category_id": 2, "bbox": [10, 20, 20.5, 40.1], "score": 0.9}
    assert last == {"image_id": 3, "category_id": 2, "bbox": [10.1, 5, 50.2, 4], "score": 0.1}
    write_detections(found, tmp_path / "comp4.zip")
    with zipfile.ZipFile(tmp_path / "comp4.zip") as archive:
        assert sorted(archive.namelist()) == [f"results/VOC2012/Main/comp4_det_test_{n}.txt" for n in sorted(CLASSES)]
        dogs = archive.read("results/VOC2012/Main/comp4_det_test_dog.txt").decode()
        assert dogs == "p0 0.9 11 21 30.5 60.1\np2 0.1 11.1 6 60.3 9\n"
        assert archive.read("results/VOC2012/Main/comp4_det_test_bird.txt") == b""
    write_detections(found, tmp_path / "d.txt", dataset=data)
    assert (tmp_path / "d.txt").read_text().splitlines()[0] == "1 2 0.9 11 21 30.5 60.1"
    write_detections(found, tmp_path / "d.csv")
    assert (tmp_path / "d.csv").read_text().splitlines()[:2] == [
        "image,class,score,xmin,ymin,xmax,ymax",
        "p0,dog,0.9,10.0,20.0,30.5,60.1",
    ]


def test_values_ids_are_those_of_the_data(tmp_path):
    annotations = [
        Annotation(n, f"{n}.jpg", [[1, 2, 3, 4]], [0], SIZE_HW, image_id=k) for n, k in (("p0", 7), ("p1", 3))
    ]
    names = ("zebra", "n02672831", "wine bottle")  # the last, the first and the one before the last of ILSVRC's 200
    data = Dataset("own", names, annotations, category_ids=(18, 1, 44))
    found = table((0, 0, 0.5, 1, 1, 2, 2), (1, 2, 0.5, 1, 1, 2, 2), names=("p0", "p1"), classes=names)
    path = write_detections(found, tmp_path / "c.json", "coco", dataset=data)
    assert [(row["image_id"], row["category_id"]) for row in json.loads(path.read_text())] == [(7, 18), (3, 44)]
    assert_equal(read_detections(path, data), found)
    path = write_detections(found, tmp_path / "d.txt", dataset=data)
    assert [line.split()[:2] for line in path.read_text().splitlines()] == [["1", "200"], ["2", "199"]]
    assert_equal(read_detections(path, data), found)
    assert zoo.labels("ilsvrc")[198:] == ("wine_bottle", "zebra")


def test_values_what_detect_writes_is_read(tmp_path):
    data = dataset()
    one = Detections([[1, 2, 3, 4], [5, 6, 7, 8]], [0.5, 0.75], [2, 0], CLASSES, SIZE_HW, "/images/p1.jpg")
    empty = Detections.empty(CLASSES, SIZE_HW, "elsewhere/p3.png")
    (tmp_path / "d.json").write_text(json.dumps([one.to_dict(), empty.to_dict()]))
    found = read_detections(tmp_path / "d.json", data)
    expected = table((0, 0, 0.75, 5, 6, 7, 8), (0, 2, 0.5, 1, 2, 3, 4), names=("p1", "p3"))
    assert_equal(found, expected)
    text = "source,width,height,class,score,xmin,ymin,xmax,ymax\n/images/p1.jpg,120,80,bird,0.5,1,2,3,4\n"
    (tmp_path / "d.csv").write_text(text)
    assert_equal(read_detections(tmp_path / "d.csv", data), table((1, 2, 0.5, 1, 2, 3, 4)))


def test_values_equal_scores_keep_the_order_of_the_file(tmp_path):
    (tmp_path / "comp4_det_test_cat.txt").write_text("p1 0.5 1 1 9 9\np0 0.5 1 1 9 9\np0 0.25 1 1 9 9\n")
    assert read_detections(tmp_path, dataset()).image.tolist() == [1, 0, 0]
    (tmp_path / "comp4_det_test_cat.txt").write_text("p1 0.5 1 1 9 9\np0 0.75 1 1 9 9\np0 0.25 1 1 9 9\n")
    assert read_detections(tmp_path / "comp4_det_test_cat.txt", dataset()).image.tolist() == [0, 0, 1]
    assert read_detections(tmp_path, dataset()).class_names == ("cat",)


def test_values_own_json_knows_which_images_were_seen(tmp_path):
    parts = []
    for names in (("p2", "p0"), ("p3", "p1")):
        rows = table((0, 0, 0.5, 1, 1, 2, 2), names=names)
        write_detections(rows, tmp_path / "part.json")
        parts.append(read_detections(tmp_path / "part.json", dataset()))
    assert [part.images for part in parts] == [("p0", "p2"), ("p1", "p3")]
    assert [part.image.tolist() for part in parts] == [[1], [1]]
    whole = merge(parts)
    assert whole.images == ("p0", "p2", "p1", "p3")
    assert whole.image.tolist() == [1, 3]
    with pytest.raises(ValueError, match="2 images are in more than one table, such as 'p0'"):
        merge([parts[0], parts[0]])
    with pytest.raises(ValueError, match="must have the same classes"):
        merge([table(), table(classes=("dog", "cat"))])


def test_values_what_leaves_its_image(tmp_path):
    path = write_detections(table((0, 0, 0.5, -20, 5, 130, 81), (1, 0, 0.5, -0.5, 5, 121, 80)), tmp_path / "d.csv")
    with pytest.raises(ValueError, match=r"d.csv:2: the box leaves its image of 120 x 80 .* 1 boxes of 2 do"):
        read_detections(path, dataset())
    assert read_detections(path, dataset(), outside="keep").boxes_xyxy.tolist()[0] == [-20, 5, 130, 81]
    assert read_detections(path, dataset(), outside="clip").boxes_xyxy.tolist() == [[0, 5, 120, 80], [0, 5, 120, 80]]
    unknown = Dataset("pets", CLASSES, [Annotation(name, f"{name}.jpg", [], []) for name in ("p0", "p1")])
    with pytest.raises(ValueError, match=r"d.csv:2: the box leaves its image of unknown size"):
        read_detections(path, unknown)
    assert read_detections(path, unknown, outside="clip").boxes_xyxy.tolist()[0] == [0, 5, 130, 81]
