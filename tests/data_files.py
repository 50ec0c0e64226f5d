"""Small datasets on the disk, for tests of readers and checks."""

import json

import numpy as np
from PIL import Image

from keras_ssd.data import Annotation, Dataset

CLASSES = ("cat", "dog", "left & <right>")
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def save_image(path, size_hw=(40, 60), seed=0):
    """A random image that resembles no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), "uint8")).save(path)
    return str(path)


def voc_object(name, *box, more=""):
    return f"<object><name>{name}</name>{more}{BOX.format(*box)}</object>"


def voc_xml(*objects, size=(60, 40), filename="a.jpg"):
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return "\n".join([f"<annotation><filename>{filename}</filename>", size, *objects, "</annotation>"])


def voc_folder(root, files, images=None):
    """Writes Annotations/NAME.xml from a dictionary, and an image for each (or for those named)."""
    (root / "Annotations").mkdir(parents=True)
    for seed, (name, text) in enumerate(files.items()):
        text = text.replace("<filename>a.jpg<", f"<filename>{name}.jpg<")
        (root / "Annotations" / f"{name}.xml").write_text(text)
        if images is None or name in images:
            save_image(root / "JPEGImages" / f"{name}.jpg", seed=seed)
    return root


def coco_file(path, images=None, annotations=None, categories=None, **more):
    """Writes a COCO json for a.jpg of 60 x 40; anything may be replaced."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}] if images is None else images,
        "annotations": annotations or [],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}] if categories is None else categories,
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def awkward_dataset(folder):
    """No objects, marks, fractions of pixels, a box at the very edge, names in folders and odd letters in classes."""
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 1, (20, 2, 2))
    low, high = corners.min(1), corners.max(1)
    low, high = low * (97, 43), high * (97, 43)
    wide = ((high - low) > 1.5).all(axis=1)
    boxes = np.hstack([low, high])[wide].astype(np.float32)
    ids = np.arange(len(boxes)) % 3
    crowd = np.arange(len(boxes)) == 1
    images = [save_image(folder / f"{name}.png", size, seed) for seed, (name, size) in enumerate(_SIZES.items())]
    annotations = [
        Annotation("many", images[0], boxes, ids, (43, 97), ids == 1, ids == 2, crowd),
        Annotation("edge", images[1], [[0, 0, 11, 7], [1.5, 2.25, 4, 7]], [2, 0], (7, 11)),
        Annotation("none", images[2], [], [], (5, 5)),
        Annotation("deep/er.v2", images[3], [[2, 3, 10, 9]], [1], (31, 33), difficult=[True]),
    ]
    return Dataset("awkward", CLASSES, annotations)


_SIZES = {"many": (43, 97), "edge": (7, 11), "none": (5, 5), "er.v2": (31, 33)}
