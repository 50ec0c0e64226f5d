"""Label Studio: a json list of tasks, with boxes in percent of their images; its exports "JSON" and "JSON-MIN".

Source of the format: labelstud.io, "Label Studio JSON format of annotated tasks" and "Import pre-annotated data".
"""

import math
from urllib.parse import unquote

from keras_ssd.data.formats.json_files import JsonFormat, Named, listed_of, table_of
from keras_ssd.data.formats.kinds import LABEL_STUDIO
from keras_ssd.data.formats.labelstudio_writing import LOCAL_FILES
from keras_ssd.data.formats.labelstudio_writing import write as write
from keras_ssd.data.outlines import TURNED
from keras_ssd.data.records import PERCENT_BOXES, EntryError, finite, shortened, size_of
from keras_ssd.images import has_image_ending

_LABELLED = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
# Results about an image, a region or a pair of regions, which may repeat the region's place.
_NO_OBJECTS = ("choices", "textarea", "rating", "number", "datetime", "taxonomy", "relation", "ranker", "pairwise")


def _images(data, path):
    tasks = [table_of(task, "a task") for task in listed_of(data, "a file of Label Studio")]
    done = [_regions_of(task) for task in tasks]
    if tasks and all(regions is None for regions in done):
        raise EntryError(
            f"none of its {len(tasks)} tasks has an annotation, and predictions are guesses of a model. Submit the "
            "tasks in Label Studio, and export again"
        )
    for number, (task, regions) in enumerate(zip(tasks, done, strict=True)):
        yield Named(_below(_image_of(task, number), path.parent), regions, _size_of(regions or ()))


def _regions_of(task):
    """The regions that a person marked, or None where nobody did."""
    if not isinstance(task.get("data"), dict):  # JSON-MIN, which has annotated tasks alone
        lists = [value for value in task.values() if isinstance(value, list)]
        marked = [_as_result(item) for found in lists for item in found if isinstance(item, dict)]
        return [region for region in marked if region is not None]
    given = listed_of(task.get("annotations") or task.get("completions") or [], "annotations")
    kept = [each for each in given if not table_of(each, "an annotation").get("was_cancelled")]
    if not kept:
        return None
    best = next((each for each in kept if each.get("ground_truth")), kept[-1])
    regions = [table_of(region, "a region") for region in listed_of(best.get("result", []), "result")]
    regions = [region for region in regions if region.get("type") not in _NO_OBJECTS]
    labelled = {str(region.get("id")) for region in regions if _names(region)}  # others have a twin that is labelled
    return [region for region in regions if _names(region) or str(region.get("id")) not in labelled]


def _as_result(item):
    """A region of JSON-MIN as one of JSON; None for what is none."""
    kind = next((kind for kind in _LABELLED if isinstance(item.get(kind), list)), None)
    return None if kind is None else {**item, "type": kind, "value": item}


def _image_of(task, number):
    told = task["data"] if isinstance(task.get("data"), dict) else task
    texts = {key: value for key, value in told.items() if isinstance(value, str) and value.strip()}
    named = [texts[key] for key in ("image", "img", "url", "image_url") if key in texts]
    named += [text for text in texts.values() if has_image_ending(text.split("?")[0]) or has_image_ending(text)]
    if not named:
        raise EntryError(f"task {task.get('id', number)} names no image: its data are {shortened(told)}")
    return named[0]


def _below(url, folder):
    """What `labelstudio_writing` calls a local file that lies below the folder, as a path; any other name as it is."""
    local = unquote(url.removeprefix(LOCAL_FILES)) if url.startswith(LOCAL_FILES) else ""
    start = f"{folder.resolve().name}/images/"
    return local.removeprefix(start) if local.startswith(start) else url


def _size_of(regions):
    sizes = (size_of(region.get("original_height"), region.get("original_width")) for region in regions)
    return next(filter(None, sizes), None)


def _names(region):
    """The labels of a region; () for none."""
    value, kind = region.get("value"), region.get("type")
    if not isinstance(value, dict) or not isinstance(kind, str):
        return ()
    names = value.get(kind) or value.get("labels")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _region(region):
    value, kind, names = table_of(region.get("value"), "the value of a region"), region.get("type"), _names(region)
    if not isinstance(kind, str):
        raise EntryError(f"its type must be text, and is {shortened(kind)}")
    if region.get("image_rotation"):
        raise EntryError(f"its image was rotated by {shortened(region['image_rotation'])} degrees in Label Studio")
    if len(names) > 1:
        raise EntryError(f"it has {len(names)} labels. Leave one")
    name, degrees = names[0] if names else None, finite(value.get("rotation") or 0, "rotation")
    kind = kind.removesuffix("labels")
    if kind in ("brush", "keypoint"):
        raise EntryError(f"its shape is {kind}, which marks no box: draw a rectangle around the object, or remove it")
    if "points" in value:
        return name, _around(_points(value)), {}
    if "radiusX" in value:
        return name, _ellipse(value, degrees, region), {}
    box = [finite(value.get(side), side) for side in PERCENT_BOXES.columns]
    return (name, _turned(box, degrees, region), {"assumed": TURNED}) if degrees else (name, box, {})


def _points(value):
    points = listed_of(value.get("points"), "points")
    if len(points) < 2 or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise EntryError("points must be a list of at least two x, y")
    return [(finite(x, "x"), finite(y, "y")) for x, y in points]


def _around(points):
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _sides(region):
    """(width, height) of the image, for angles, which are those of pixels."""
    height, width = size_of(region.get("original_height"), region.get("original_width")) or (0, 0)
    if not width:
        raise EntryError("it is turned, and the size of its image (original_width, original_height) is not there")
    return width, height


def _turned(box, degrees, region):
    """Around a rectangle that is turned clockwise about its upper left corner."""
    (width, height), angle = _sides(region), math.radians(degrees)
    x, y, wide, high = box
    wide, high = wide * width, high * height
    corners = [(0, 0), (wide, 0), (wide, high), (0, high)]
    turned = [
        (a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)) for a, b in corners
    ]
    return _around([(x + a / width, y + b / height) for a, b in turned])


def _ellipse(value, degrees, region):
    cx, cy, rx, ry = (finite(value.get(name), name) for name in ("x", "y", "radiusX", "radiusY"))
    if degrees:
        (width, height), angle = _sides(region), math.radians(degrees)
        across = math.hypot(rx * width * math.cos(angle), ry * height * math.sin(angle)) / width
        down = math.hypot(rx * width * math.sin(angle), ry * height * math.cos(angle)) / height
        rx, ry = across, down
    return [cx - rx, cy - ry, 2 * rx, 2 * ry]


FORMAT: JsonFormat = JsonFormat(LABEL_STUDIO, PERCENT_BOXES, _images, _region)
NAME, find, read = FORMAT.NAME, FORMAT.find, FORMAT.read
