"""Small datasets in YOLO's layout."""

import numpy as np
from data_files import save_image

HALF = "0.5 0.5 0.5 0.5"
BOX = [[15, 10, 45, 30]]  # HALF of 60 x 40 pixels


def yolo(root, labels, yaml=None, ending="jpg"):
    """Writes images (by path, without ending) and their label files, and data.yaml."""
    for seed, (name, text) in enumerate(labels.items()):
        image = root / f"{name}.{ending}"
        save_image(image, seed=seed)
        file = root / f"{name.replace('images', 'labels')}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_text(text)
    if yaml is not None:
        (root / "data.yaml").write_text(yaml)
    return root


def found(dataset):
    """Name -> (classes, boxes) of all images."""
    return {
        a.name: ([dataset.classes[place] for place in a.class_ids], np.round(a.boxes_xyxy, 3).tolist()) for a in dataset
    }
