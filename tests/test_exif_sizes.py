"""Sizes that annotations give before EXIF rotation."""

import numpy as np
import pytest
from coco_exports import assumed, category, faults, image, marked
from data_files import coco_file
from PIL import Image

from keras_ssd import data


def turned(path, orientation, size_hw=(40, 60)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(orientation).integers(0, 256, (*size_hw, 3), "uint8")
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_values_sizes_before_exif_rotation(tmp_path, orientation, ending):
    turned(tmp_path / f"a.{ending}", orientation)  # stored 60 x 40, shown 40 x 60
    box = [5, 30, 30, 28]
    coco_file(tmp_path / "result.json", [image(1, f"a.{ending}", (60, 40))], [marked(bbox=box)], [category()])
    dataset = data.read(tmp_path)
    assert dataset[0].size_hw == (60, 40)
    assert dataset[0].boxes_xyxy.tolist() == [[5, 30, 35, 58]]
    assert data.Sample.of(dataset[0]).image.shape == (60, 40, 3)
    [note] = assumed(dataset)
    assert note.startswith("a size is given before EXIF rotation; the boxes fit the image as it is shown: ")
    assert data.check(tmp_path).ok


def test_values_sizes_before_exif_rotation_in_voc_and_csv(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><size><width>60</width><height>40</height></size><object><name>nut</name>"
        "<bndbox><xmin>6</xmin><ymin>31</ymin><xmax>35</xmax><ymax>58</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "a.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,40,nut,5,30,35,58\n")
    for format in ("voc", "csv"):
        dataset = data.read(tmp_path, format=format)
        assert dataset[0].size_hw == (60, 40)
        assert dataset[0].boxes_xyxy.tolist() == [[5, 30, 35, 58]]
        assert len(assumed(dataset)) == 1


def test_rejects_boxes_that_were_drawn_before_exif_rotation(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    coco_file(tmp_path / "result.json", [image()], [marked(), marked(2, bbox=[30, 10, 25, 20])], [category()])
    [fault] = faults(tmp_path)
    assert "is 40 x 60 pixels as its EXIF orientation shows it, the annotation says 60 x 40 pixels" in fault


@pytest.mark.parametrize("orientation", [1, 3])
def test_values_sizes_of_images_that_keep_them(tmp_path, orientation):
    turned(tmp_path / "a.jpg", orientation)
    coco_file(tmp_path / "result.json", [image()], [marked()], [category()])
    dataset = data.read(tmp_path)
    assert dataset[0].size_hw == (40, 60)
    assert assumed(dataset) == []


def test_values_the_stated_size_after_rotation(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    coco_file(tmp_path / "result.json", [image(size=(40, 60))], [marked()], [category()])
    assert data.read(tmp_path)[0].size_hw == (60, 40)
