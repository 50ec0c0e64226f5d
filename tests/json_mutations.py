"""A COCO json file changed at random, in its bytes and in its values, and whether reading accounts for all it holds."""

import copy
import json
import math

from keras_ssd.data.ids import Ids, plain_id

_MASK, _RUNS = {"size": [5, 7], "counts": ";320009"}, {"size": [3, 4], "counts": [4, 2, 6]}
TEXT = json.dumps(
    {
        "info": {"year": 2024},
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
            {"id": 2, "file_name": "JPEGImages\\b.jpg", "width": 60, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], "area": 600, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[5, 5, 50, 5, 50, 39]], "iscrowd": 0},
            {
                "id": 3,
                "image_id": "2",
                "category_id": 1.0,
                "bbox": [],
                "segmentation": {"size": [5, 7], "counts": ";320009"},
            },
            {
                "id": 4,
                "image_id": 2,
                "category_id": 2,
                "segmentation": {"size": [3, 4], "counts": [4, 2, 6]},
                "bbox": None,
            },
            {"id": 5, "image_id": 2, "category_id": 1, "bbox": [10.5, 10, 9.5, 20], "area": 190.0, "iscrowd": 1},
        ],
        "categories": [
            {"id": 0, "name": "nuts", "supercategory": "none"},
            {"id": 1, "name": "nut", "supercategory": "nuts"},
            {"id": 2, "name": "bolt", "supercategory": "nuts"},
        ],
    }
)
_DEEP = json.loads("[" * 100 + "]" * 100)
VALUES = (None, True, "", "1", "x" * 5000, 0, -1, 1, 2, 1.5, 1e308, -1e308, 10**30, 10**400)
VALUES += (math.nan, math.inf, -math.inf, [], {}, [[]], [1, 2], [1, 2, 3, 4], [0, 0, 0, 0], [None] * 4, [[1, 2, 3]])
VALUES += (_DEEP, {"size": [1e6, 1e6], "counts": "0"}, "a.jpg", "b.jpg", "../../a.jpg", "C:\\a.jpg", "\0")
VALUES += (
    "http://x/%00",
    "?d=a.jpg",
    "http://[",
    "bolt",
    "nuts",
    "background",
    "\ud800",
    "\ud800/a.jpg",
    "x" * 300 + "/a.jpg",
)


def mutated(text, rng):
    """The bytes of a json text after one to four changes of its values."""
    content = json.loads(text)
    for _ in range(rng.integers(1, 5)):
        _change(content, rng)
    return json.dumps(content).encode()


def _change(content, rng):
    """Changes one value that lies somewhere in the content: replaced, removed, repeated, or swapped with another."""
    places = _places(content)
    holder, key = places[rng.integers(len(places))]
    change = rng.integers(6)
    if change < 3:
        holder[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    elif change == 3:
        del holder[key]
    elif change == 4 and isinstance(holder, list):
        holder.insert(int(rng.integers(len(holder) + 1)), copy.deepcopy(holder[key]))
    else:
        other, place = places[rng.integers(len(places))]
        holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])


def _places(content):
    """(holder, key) of every value, not far into deep ones."""
    found, level = [], [content]
    for _ in range(8):
        below = []
        for holder in level:
            keys = [*holder] if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            below += [holder[key] for key in keys if isinstance(holder[key], (dict, list)) and holder[key]]
        level = below
    return found or [({"x": 1}, "x")]


def unaccounted(path, whole, of_file):
    """Images and objects of a changed file that are neither read nor named."""
    if any(problem.kind == "file" for problem in of_file):
        return
    content = json.loads(path.read_bytes().decode("utf-8-sig"))
    gone = [problem for problem in of_file if problem.done == "left out"]
    objects = [problem for problem in gone if problem.what.startswith("annotation")]
    twice = {(p.image, p.what.partition(":")[0]): p for p in gone if p.what.startswith("object")}  # of two faults
    images = [problem for problem in gone if not problem.what.startswith(("annotation", "object"))]
    objects += twice.values()
    if len(content["images"]) > len(whole) + len(images):
        yield f"{len(content['images'])} images, {len(whole)} read and {len(images)} named"
    read = sum(len(annotation) for annotation in whole)
    rows = content["annotations"]
    known = Ids({annotation.image_id: annotation.image_id for annotation in whole})
    every = Ids({plain_id(row.get("id")): row for row in content["images"] if isinstance(row, dict)})
    lost = [row for row in rows if isinstance(row, dict) and _of_a_lost_image(row.get("image_id"), known, every)]
    if lost and not images:
        yield f"{len(lost)} objects of images that nobody names"
    if read + len(objects) + len(lost) < len(rows) or read + len(objects) > len(rows):
        yield f"{len(rows)} objects, {read} read, {len(objects)} named, {len(lost)} of images that are left out"


def _of_a_lost_image(key, known, every):
    return known.get(key)[0] is None and every.get(key)[0] is not None
