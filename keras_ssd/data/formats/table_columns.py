"""What the columns of a CSV file mean, from its header or, where it has none, from its first line."""

import dataclasses

from keras_ssd.data.records import EntryError, finite
from keras_ssd.images import has_image_ending

CORNERS = ("xmin", "ymin", "xmax", "ymax")
SIZES = ("x", "y", "w", "h")
RETINANET = ("image", "x1", "y1", "x2", "y2", "class")  # the order of files without header
MARKS = ("difficult", "truncated", "crowd")
EXAMPLE = "image,width,height,xmin,ymin,xmax,ymax,class"

# What columns are called, in lower case and without spaces, underscores and hyphens.
_MEANINGS = {
    "image": (
        *("image", "imagename", "filename", "frame", "picture", "path", "imagepath", "filepath", "imageid"),
        *("img", "imgname", "imgpath", "file"),
    ),
    "label": ("class", "classname", "label", "labelname", "name", "category", "categoryname"),
    "number": ("classid", "labelid", "categoryid"),
    "xmin": ("xmin", "x1", "left", "bboxxmin", "bboxx1"),
    "ymin": ("ymin", "y1", "top", "bboxymin", "bboxy1"),
    "xmax": ("xmax", "x2", "right", "bboxxmax", "bboxx2"),
    "ymax": ("ymax", "y2", "bottom", "bboxymax", "bboxy2"),
    "x": ("x", "bboxx"),
    "y": ("y", "bboxy"),
    "w": ("w", "boxwidth", "bboxwidth", "bboxw"),
    "h": ("h", "boxheight", "bboxheight", "bboxh"),
    "width": ("width", "imagewidth"),
    "height": ("height", "imageheight"),
    "difficult": ("difficult", "isdifficult"),
    "truncated": ("truncated", "istruncated"),
    "crowd": ("crowd", "iscrowd", "isgroupof"),
    "shape": ("regionshapeattributes",),
    "attributes": ("regionattributes",),
}


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a file has what.

    Args:
        places: dictionary from a meaning to the place of its column.
        width: how many columns the header has; None where the caller named them.
        headless: whether the first line is data already.
    """

    places: dict
    width: int | None
    headless: bool = False

    @property
    def sides(self):
        """The four columns of the box; none where a column holds shapes."""
        if "shape" in self.places:
            return ()
        return CORNERS if "xmin" in self.places else SIZES


def columns_of(first, path, given=None):
    """The `Columns` of a file.

    Args:
        first: cells of its first line.
        path: for messages.
        given: names of the columns, where the caller knows them.

    Raises:
        ValueError: nothing says where image, box and class are.
    """
    header = given or first
    places = _places(header)
    lost = _lost(places)
    if lost and not given and _is_retinanet(first):
        return Columns(_trimmed(_places(RETINANET)), len(RETINANET), headless=True)
    if lost:
        what = "the columns given do" if given else "its first line does"
        advice = "" if given else " Pass csv=CsvLayout(columns=(...)) for a file without header."
        raise ValueError(
            f"{path}: {what} not say where to find {' and '.join(lost)}. "
            f"Expected a header such as {EXAMPLE}. Received: {','.join(header)[:200]!r}.{advice}"
        )
    return Columns(_trimmed(places), None if given else len(header))


def _places(header):
    plain = [name.strip().lower().replace(" ", "").replace("_", "").replace("-", "") for name in header]
    places = {}
    for meaning, names in _MEANINGS.items():
        known = [place for place, name in enumerate(plain) if name in names]
        if known:
            places[meaning] = min(known, key=lambda place: names.index(plain[place]))
    if not {*CORNERS} <= places.keys() and {"x", "y"} <= places.keys():
        for short, long in (("w", "width"), ("h", "height")):  # x, y, width, height are a box
            if short not in places and long in places:
                places[short] = places.pop(long)
    return places


def _lost(places):
    if {"image", "shape", "attributes"} <= places.keys():
        return []
    corners = [name for name in CORNERS if name not in places]
    sizes = [name for name in SIZES if name not in places]
    lost = [] if "image" in places else ["the image (image)"]
    lost += [f"the box ({', '.join(corners)})"] if corners and sizes else []
    return lost + ([] if {"label", "number"} & places.keys() else ["the class (class or class_id)"])


def _trimmed(places):
    """Without the columns of a second way to tell the box."""
    if "shape" in places:
        return {name: place for name, place in places.items() if name in ("image", "shape", "attributes")}
    other = SIZES if {*CORNERS} <= places.keys() else CORNERS
    return {name: place for name, place in places.items() if name not in other}


def _is_retinanet(cells):
    """Whether a line is an object, or an image without objects, as keras-retinanet has them."""
    cells = [cell.strip() for cell in cells]
    if len(cells) != len(RETINANET) or not has_image_ending(cells[0]):
        return False
    if not any(cells[1:]):
        return True
    try:
        return all(finite(cell, "") is not None for cell in cells[1:5]) and bool(cells[5])
    except EntryError:
        return False
