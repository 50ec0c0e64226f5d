"""The VGG Image Annotator, version 1 and 2: its projects and json exports, and the regions of its CSV files.

Source of the format: www.robots.ox.ac.uk/~vgg/software/via, "Frequently asked questions".
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from keras_ssd.data.formats.json_files import JsonFormat, Named, file_of, listed_of, table_of
from keras_ssd.data.formats.kinds import VIA
from keras_ssd.data.records import CORNER_BOXES, EntryError, finite

_LABEL_KEYS = ("class", "classname", "label", "name", "type", "category", "object")
_UNKNOWN = ("", "unknown", "not_defined", "undefined")


def corners_of(shape: Mapping[Any, Any]) -> list[float]:
    """(xmin, ymin, xmax, ymax) of a region's shape, a dictionary of its attributes.

    Raises:
        EntryError: it is not a shape, or has no area.
    """
    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = (finite(shape.get(key), key) for key in ("x", "y", "width", "height"))
        return [x, y, x + width, y + height]
    if kind in ("circle", "ellipse"):
        return _round(shape)
    if kind in ("polygon", "polyline"):
        xs, ys = (_numbers(shape.get(f"all_points_{axis}"), f"all_points_{axis}") for axis in "xy")
        if len(xs) != len(ys):
            raise EntryError(f"its {kind} has {len(xs)} numbers for x and {len(ys)} for y")
        return [min(xs), min(ys), max(xs), max(ys)]
    raise EntryError(
        f"its shape is {str(kind)[:40]!r}: expected rect, polygon, polyline, circle or ellipse. Draw a box around the "
        "object, or remove the region"
    )


def _round(shape):
    x, y = finite(shape.get("cx"), "cx"), finite(shape.get("cy"), "cy")
    if shape["name"] == "circle":
        half = [finite(shape.get("r"), "r")] * 2
    else:
        rx, ry = finite(shape.get("rx"), "rx"), finite(shape.get("ry"), "ry")
        angle = finite(shape.get("theta", 0), "theta")
        half = [math.hypot(rx * math.cos(angle), ry * math.sin(angle))]
        half.append(math.hypot(rx * math.sin(angle), ry * math.cos(angle)))
    return [x - half[0], y - half[1], x + half[0], y + half[1]]


def _numbers(values, what):
    if not isinstance(values, list) or len(values) < 2:
        raise EntryError(f"{what} must be a list of at least two numbers")
    return [finite(value, what) for value in values]


def label_of(attributes: Mapping[Any, Any]) -> tuple[str | None, str | None]:
    """(class name, attribute that has it) of a region's attributes; (None, None) if it has none.

    Raises:
        EntryError: none of several attributes is known to name a class.
    """
    told = {str(key): _chosen(value) for key, value in attributes.items()}
    told = {key: value for key, value in told.items() if value.lower() not in _UNKNOWN}
    known = {key.strip().lower().replace("_", ""): key for key in told}
    for name in _LABEL_KEYS:
        if name in known:
            return told[known[name]], known[name]
    if len(told) == 1:
        [(key, value)] = told.items()
        return value, key
    if not told:
        return None, None
    raise EntryError(f"none of its attributes {', '.join(told)} is known to be the class. Name one of them class")


def _chosen(value):
    """The text of an attribute; of a list of boxes to tick, the only one ticked."""
    if isinstance(value, dict):
        ticked = [str(key) for key, on in value.items() if on is True]
        return ticked[0].strip() if len(ticked) == 1 else ""
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def cell_of(text: str, what: str) -> dict[Any, Any]:
    """The dictionary in a cell of a CSV file; empty for an empty cell.

    Raises:
        EntryError: it is not a dictionary.
    """
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise EntryError(f"{what} is no json: {text[:40]!r}") from None
    if not isinstance(found, dict):
        raise EntryError(f"{what} must be a json object, and is {text[:40]!r}")
    return found


def _images(data, path):
    data = table_of(data, "a file of VIA")
    for entry in table_of(data.get("_via_img_metadata", data), "_via_img_metadata").values():
        entry = table_of(entry, "an image")
        regions = entry.get("regions", [])
        if isinstance(regions, dict):  # VIA 1 numbers them
            regions = [*regions.values()]
        yield Named(file_of(entry.get("filename")), listed_of(regions, "regions"))


def _region(region):
    region = table_of(region, "a region")
    shape = table_of(region.get("shape_attributes"), "shape_attributes")
    label, _ = label_of(table_of(region.get("region_attributes", {}), "region_attributes"))
    return label, corners_of(shape), {}


FORMAT: JsonFormat = JsonFormat(VIA, CORNER_BOXES, _images, _region)
