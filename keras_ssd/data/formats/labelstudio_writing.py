"""Writes tasks of Label Studio, and the labeling config that they need."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from keras_ssd.data.formats.xml import escaped
from keras_ssd.data.records import PERCENT_BOXES

LOCAL_FILES = "/data/local-files/?d="  # below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT
CONFIG = "label_config.xml"
_FROM, _TO = "label", "image"  # names of the tags in the config


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes images/, tasks.json or SPLIT.json, label_config.xml and classes.txt.

    The tasks name their images as Label Studio serves local files, below the folder that holds the new one.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`; with `guesses` the boxes are predictions, else annotations.
    """
    classes = next(iter(splits.values())).classes
    number = 0
    for split, data in splits.items():
        tasks = []
        for annotation in data:
            number += 1
            file = target.place(annotation, f"images/{target.safe_name(annotation)}")
            url = LOCAL_FILES + quote(f"{target.name}/{file}")
            regions = [_region(annotation, row, classes, f"{number}-{row + 1}") for row in range(len(annotation))]
            told = {"annotations": [{"result": regions}]}
            if target.guesses is not None:
                told = {"predictions": [_prediction(regions, target.guesses, annotation.name)]}
            tasks.append({"data": {"image": url}, **told})
        target.text(f"{split or 'tasks'}.json", json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    target.text(CONFIG, _config(classes))
    target.text("classes.txt", "".join(f"{name}\n" for name in classes))


def _prediction(regions, guesses, name):
    scores = guesses.scores[name]
    found = [{**region, "score": float(str(score))} for region, score in zip(regions, scores, strict=True)]
    mean = float(np.mean(scores)) if len(scores) else 0.0
    return {"model_version": guesses.model_version, "score": round(mean, 6), "result": found}


def _region(annotation, row, classes, key):
    height, width = annotation.size_hw
    names = ("x", "y", "width", "height")
    sides = dict(zip(names, _percent(annotation.boxes_xyxy[row], annotation.size_hw), strict=True))
    return {
        "id": key,
        "type": "rectanglelabels",
        "from_name": _FROM,
        "to_name": _TO,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**sides, "rotation": 0, "rectanglelabels": [classes[annotation.class_ids[row]]]},
    }


def _percent(box, size_hw):
    """x, y, width, height with the fewest decimals, at least four, that give the same float32 corners when read."""
    exact = PERCENT_BOXES.from_pixels(box[None], size_hw)
    for digits in range(4, 17):
        numbers = exact.round(digits)
        if np.array_equal(PERCENT_BOXES.to_pixels(numbers, size_hw).astype(np.float32)[0], box):
            return numbers[0].tolist()
    return exact[0].tolist()


def _config(classes):
    labels = [f'    <Label value="{escaped(name)}"/>' for name in classes]
    head = ["<View>", f'  <Image name="{_TO}" value="$image"/>', f'  <RectangleLabels name="{_FROM}" toName="{_TO}">']
    return "\n".join([*head, *labels, "  </RectangleLabels>", "</View>", ""])
