"""LabelMe, AnyLabeling and what resembles them: a json file per image, with shapes.

Source of the format: the files that github.com/wkentaro/labelme writes.
"""

import math

from keras_ssd.data.formats.json_files import JsonFormat, Named, file_of, listed_of, table_of
from keras_ssd.data.formats.kinds import LABELME
from keras_ssd.data.records import CORNER_BOXES, EntryError, finite, mark, size_of


def _images(data, path):
    data = table_of(data, "a file of LabelMe")
    shapes = listed_of(data.get("shapes"), "shapes")
    name = data.get("imagePath")
    yield Named(file_of(name if name else path.stem), shapes, size_of(data.get("imageHeight"), data.get("imageWidth")))


def _shape(shape):
    shape = table_of(shape, "a shape")
    label = shape.get("label")
    points = [_point(point) for point in listed_of(shape.get("points"), "points")]
    if not points:
        raise EntryError("it has no points")
    if shape.get("shape_type") == "circle" and len(points) == 2:  # its centre, and a point on it
        (x, y), radius = points[0], math.dist(*points)
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    xs, ys = zip(*points, strict=True)
    difficult, _ = mark(shape.get("difficult"))
    return label if isinstance(label, str) else None, [min(xs), min(ys), max(xs), max(ys)], {"difficult": difficult}


def _point(point):
    if not isinstance(point, list) or len(point) != 2:
        raise EntryError(f"a point must be x, y, and is {str(point)[:40]}")
    return finite(point[0], "x"), finite(point[1], "y")


FORMAT: JsonFormat = JsonFormat(LABELME, CORNER_BOXES, _images, _shape, one_each=True)
