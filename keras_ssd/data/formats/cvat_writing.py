"""Writes CVAT for images 1.1, and the labels as CVAT's constructor takes them."""

import json
from collections.abc import Mapping
from typing import Any

from keras_ssd.data.formats.xml import escaped

MARKS = ("difficult", "truncated", "crowd")  # attributes of a label, where the data have such marks
_SIDES = ("xtl", "ytl", "xbr", "ybr")


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes images/, annotations.xml, and labels.json: the labels as "Raw" in CVAT's constructor takes them.

    A task of CVAT must have the attributes that its annotations have, so that marks are written only where there are
    some.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset; named ones become subsets.
        target: `keras_ssd.data.writing.Target`.
    """
    datasets = [*splits.values()]
    classes = datasets[0].classes
    marks = [name for name in MARKS if any(getattr(each, name).any() for data in datasets for each in data)]
    source = "manual" if target.guesses is None else "auto"
    images = []
    for split, data in splits.items():
        folder = f"images/{split}/" if split else "images/"
        subset = f' subset="{escaped(split)}"' if split else ""
        for annotation in data:
            name = target.place(annotation, folder + target.safe_name(annotation)).removeprefix(folder)
            height, width = annotation.size_hw
            head = f'  <image id="{len(images)}" name="{escaped(name)}"{subset} width="{width}" height="{height}">'
            boxes = (_box(annotation, row, classes, marks, source) for row in range(len(annotation)))
            images.append("\n".join([head, *boxes, "  </image>"]))
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    labels = "".join(f"<label><name>{escaped(name)}</name>{_kind(marks)}</label>" for name in classes)
    task = f"<size>{len(images)}</size><mode>annotation</mode><labels>{labels}</labels>"
    target.text(
        "annotations.xml", "\n".join([*lines, f"  <meta><task>{task}</task></meta>", *images, "</annotations>", ""])
    )
    target.text("labels.json", json.dumps([_raw(name, marks) for name in classes], ensure_ascii=False, indent=1) + "\n")


def _box(annotation, row, classes, marks, source):
    label = escaped(classes[annotation.class_ids[row]])
    sides = " ".join(f'{side}="{value!s}"' for side, value in zip(_SIDES, annotation.boxes_xyxy[row], strict=True))
    start = f'    <box label="{label}" source="{source}" occluded="0" {sides} z_order="0">'
    told = (f'<attribute name="{name}">{_word(getattr(annotation, name)[row])}</attribute>' for name in marks)
    return start + "".join(told) + "</box>"


def _word(on):
    return "true" if on else "false"


def _kind(marks):
    """What the file says of each label besides its name."""
    choice = "<mutable>False</mutable><input_type>checkbox</input_type><default_value>false</default_value>"
    each = (f"<attribute><name>{name}</name>{choice}<values>false</values></attribute>" for name in marks)
    return f"<type>rectangle</type><attributes>{''.join(each)}</attributes>"


def _raw(name, marks):
    """A label for CVAT's constructor."""
    choice = {"mutable": False, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
    return {"name": name, "type": "rectangle", "attributes": [{"name": mark, **choice} for mark in marks]}
