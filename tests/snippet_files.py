"""The files that the documentation takes for granted, made small: `street.jpg`, `photos/`, BCCD, trained weights."""

import dataclasses
import importlib.util
import json
import shutil

import keras
import numpy as np
import tflite_nets
import torch_files
import torch_nets
from PIL import Image

import keras_ssd
from keras_ssd import zoo
from keras_ssd.data import Annotation, Dataset
from keras_ssd.demonstration import draw_smear
from keras_ssd.demonstration.moving import draw_moving_smear
from keras_ssd.evaluation import DetectionTable, write_detections
from keras_ssd.formats import write_keras_h5
from keras_ssd.zoo.port import arrays_of

CELLS = ("RBC", "WBC", "Platelets")
PHOTOS = ("person", "dog", "helmet")
PUBLISHED = (("ssd300", "voc07+12", "voc"), ("ssd300", "coco", "coco"), ("ssd512", "voc07+12", "voc"))


def narrow_vgg(monkeypatch):
    """VGG16 with an eighth of the filters: the same layers, names and anchors for a fiftieth of the work."""
    vgg16 = importlib.import_module("keras_ssd.backbones.vgg16")
    blocks = [(block, count, filters // 8, *pool) for block, count, filters, *pool in vgg16._BLOCKS]
    monkeypatch.setattr(vgg16, "_BLOCKS", blocks)
    for name in ("_FC6", "_FC7"):
        monkeypatch.setattr(vgg16, name, dataclasses.replace(getattr(vgg16, name), filters=64))


def furnish(folder):
    """Puts everything that a page names into a folder; `home` in it is the cache with the catalogue's weights."""
    keras.utils.set_random_seed(0)
    _images_and_annotations(folder)
    _models(folder)
    _published(folder / "home" / "weights")
    _detections(folder)


def smears(count, classes, first=0):
    """Drawn smears whose cells are called something else, in a small size."""
    made = []
    for seed in range(first, first + count):
        smear = draw_smear(seed, red_cells=4, white_cells=1, platelets=1)
        image = np.asarray(Image.fromarray(smear.image).resize((320, 240)))
        boxes, ids = np.round(smear.truth.boxes_xyxy / 2), smear.truth.class_ids
        made.append(Annotation(f"{seed:03}", image, boxes, ids, size_hw=(240, 320)))
    return Dataset("smears", classes, made)


def _images_and_annotations(folder):
    """`street.jpg`, `photo.jpg`, and data sets of every kind that a page names."""
    write = keras_ssd.data.write
    Image.fromarray(draw_smear(40).image).save(folder / "street.jpg")
    shutil.copy(folder / "street.jpg", folder / "photo.jpg")
    _videos(folder)
    photos = smears(10, PHOTOS)
    for name in ("photos", "annotated"):  # images and their annotations side by side, as labelling programs leave them
        write(photos, folder / "voc", "voc")
        (folder / name).mkdir()
        for path in sorted((folder / "voc").rglob("*.*")):
            if path.suffix in (".png", ".xml"):
                path.rename(folder / name / path.name)
        shutil.rmtree(folder / "voc")
    _named_file(photos, folder)
    write({"train": smears(8, CELLS), "val": smears(2, CELLS, 8), "test": smears(2, CELLS, 10)}, folder / "BCCD", "voc")
    write(smears(4, ("cat", "dog", "collar")), folder / "pets", "voc")
    for place in ("VOC2007", "VOCdevkit/VOC2007"):
        (folder / place).parent.mkdir(exist_ok=True)
        write({"test": smears(2, zoo.labels("voc"))}, folder / place, "voc")
    write({"val2017": smears(2, zoo.labels("coco"))}, folder / "coco", "coco")


def _named_file(photos, folder):
    """`photos.json`, COCO's annotations of the images in `photos`."""
    keras_ssd.data.write(photos, folder / "written", "coco")
    [path] = (folder / "written").rglob("*.json")
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = f"photos/{image['file_name'].split('/')[-1]}"
    (folder / "photos.json").write_text(json.dumps(content))
    shutil.rmtree(folder / "written")


def _videos(folder):
    """`street.mp4` and the folder `frames`, where videos can be written."""
    if importlib.util.find_spec("av") is None:
        return
    (folder / "frames").mkdir()
    with keras_ssd.video.VideoWriter(folder / "street.mp4", frame_rate=25) as writer:
        for place, smear in enumerate(draw_moving_smear(5, red_cells=4, platelets=1)):
            writer.write(smear.image, smear.truth.time)
            Image.fromarray(smear.image).save(folder / "frames" / f"{place}.png")


def _models(folder):
    """A detector that finds cells under the names of `photos`, a plate detector in Caffe's files, and two of others."""
    mine = keras_ssd.ssd_small(classes=PHOTOS, anchors="cells")
    mine.set_weights(keras_ssd.ssd_small(weights="cells").get_weights())
    mine.save(folder / "mine.keras")
    (folder / "runs" / "mine").mkdir(parents=True)
    mine.save(folder / "runs" / "mine" / "model.keras")
    plates = keras_ssd.ssd7(classes=["plate"], input_size=(96, 128))
    keras_ssd.to_caffe(plates, folder / "deploy.prototxt", folder / "plates.caffemodel")
    shutil.copy(folder / "plates.caffemodel", folder / "weights.caffemodel")
    tflite_nets.ssd_mobilenet(num_classes=2).write(folder / "mine.tflite")
    torch_files.write_pth(folder / "model_119.pth", _of_two_classes(torch_nets.arrays(torch_nets.SSDLITE)))


def _of_two_classes(arrays):
    """torchvision's tensors with heads of 3 columns, background among them, in place of 91."""
    cut = {}
    for name, array in arrays.items():
        if "classification_head" in name and array.shape and array.shape[0] % 91 == 0:
            array = array.reshape(-1, 91, *array.shape[1:])[:, :3].reshape(-1, *array.shape[1:])
        cut[name] = np.ascontiguousarray(array)
    return cut


def _published(cache):
    """Untrained weights under the names of published files."""
    cache.mkdir(parents=True)
    for model, tag, labels in (
        ("ssd300", "voc07+12", "voc"),
        ("ssd300", "coco", "coco"),
        ("ssd512", "voc07+12", "voc"),
    ):
        layers = arrays_of(getattr(keras_ssd, model)(classes=zoo.labels(labels))).layers
        [file] = [s.file for s in zoo.find(tag, model).sources if s.format == "ssd_keras_h5"]
        write_keras_h5(cache / file, layers, kernels="float32")
    file = zoo.find("ssd_mobilenet_v1.coco").sources[0].file
    tflite_nets.ssd_mobilenet(num_classes=90).write(cache / file)


def _detections(folder):
    read = keras_ssd.data.read
    for name in ("old.json", "new.json"):
        write_detections(perfect(read(folder / "photos")), folder / name)
    for name in ("voc07.json", "comp4.zip"):
        write_detections(perfect(read(folder / "VOC2007", "test")), folder / name)
    coco = read(folder / "coco", "val2017")
    write_detections(perfect(coco), folder / "results.json", "coco", dataset=coco)


def perfect(data):
    """Detections of exactly what is there."""
    places = [place for place, one in enumerate(data) for _ in range(len(one))]
    ids, boxes = (np.concatenate([getattr(one, name) for one in data]) for name in ("class_ids", "boxes_xyxy"))
    return DetectionTable([one.name for one in data], data.classes, places, ids, np.ones(len(ids)), boxes)
