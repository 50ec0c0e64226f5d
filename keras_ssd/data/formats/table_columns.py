"""The columns of a CSV file, from its header or, without one, from its first line."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

from keras_ssd.data.records import CENTRE_BOXES, COCO_BOXES, CORNER_BOXES, BoxFormat, EntryError, finite
from keras_ssd.images import has_image_ending

CORNERS = ("xmin", "ymin", "xmax", "ymax")
SIZES = ("x", "y", "w", "h")
CENTRES = ("cx", "cy", "w", "h")
_BOXES = {CORNERS: CORNER_BOXES, SIZES: COCO_BOXES, CENTRES: CENTRE_BOXES}
YOLO3 = ("image", "x1", "y1", "x2", "y2", "class_id")  # of the rows that keras-yolo3's lines become
HEADLESS: dict[str, tuple[str, ...]] = {  # the columns of files without header
    "keras-retinanet": ("image", "x1", "y1", "x2", "y2", "class"),
    "makesense.ai": ("class", "x", "y", "w", "h", "image", "image_width", "image_height"),
    "Google AutoML": ("set", "image", "class", "x1", "y1", "", "", "x2", "y2", "", ""),
    "Google AutoML without sets": ("image", "class", "x1", "y1", "", "", "x2", "y2", "", ""),
}
_SETS = ("", "train", "training", "validation", "validate", "val", "test", "unassigned")
MARKS = ("difficult", "truncated", "crowd")
EXAMPLE = "image,width,height,xmin,ymin,xmax,ymax,class"

# Names of columns, in lower case and without spaces, underscores and hyphens.
_MEANINGS = {
    "image": (
        *("image", "imagename", "filename", "frame", "picture", "path", "imagepath", "filepath", "imageid"),
        *("img", "imgname", "imgpath", "file", "patientid"),
    ),
    "label": ("class", "classname", "label", "labelname", "name", "category", "categoryname"),
    "number": ("classid", "labelid", "categoryid"),
    "xmin": ("xmin", "x1", "left", "bboxxmin", "bboxx1"),
    "ymin": ("ymin", "y1", "top", "bboxymin", "bboxy1"),
    "xmax": ("xmax", "x2", "right", "bboxxmax", "bboxx2"),
    "ymax": ("ymax", "y2", "bottom", "bboxymax", "bboxy2"),
    "box": ("bbox", "box", "boundingbox", "bboxxywh"),  # four numbers in one cell
    "corners": ("bboxxyxy", "xyxy"),
    "cx": ("cx", "xcenter", "centerx", "xcentre", "centrex"),
    "cy": ("cy", "ycenter", "centery", "ycentre", "centrey"),
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
    "split": ("set", "split", "subset", "mluse"),
}
_OF_SIDES = (*CORNERS, *SIZES, "cx", "cy", "box", "corners")


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Args:
        places: dictionary from a meaning to the index of its column.
        width: number of columns of the header; None if the caller named them.
        headless: the program that wrote the file, if it has no header.
    """

    places: dict[str, int]
    width: int | None
    headless: str = ""

    @property
    def sides(self) -> tuple[str, ...]:
        """The meaning of the four numbers of a box; empty if a column has shapes."""
        if "shape" in self.places:
            return ()
        if "xmin" in self.places or "corners" in self.places:
            return CORNERS
        return CENTRES if "cx" in self.places else SIZES

    @property
    def boxes(self) -> BoxFormat:
        """`BoxFormat` of the numbers, if they are pixels."""
        return _BOXES.get(self.sides, CORNER_BOXES)

    def numbers(self, cell: Mapping[str, str]) -> dict[str, str]:
        """Dictionary from each of `sides` to its text, from that of a meaning to the text of its cell.

        Raises:
            EntryError: a cell for four numbers has more or fewer.
        """
        joined = next((cell[name] for name in ("corners", "box") if name in self.places), None)
        if joined is None:
            return {side: cell[side] for side in self.sides}
        words = re.findall(r"[^\s,;\[\](){}]+", joined) or [""] * 4
        if len(words) != 4:
            raise EntryError(f"its box must be four numbers, and is {joined[:60]!r}")
        return dict(zip(self.sides, words, strict=True))


def columns_of(
    first: Sequence[str], path: str | os.PathLike[str], given: Sequence[str] | None = None, one_class: bool = False
) -> Columns:
    """The `Columns` of a file, from the cells of its first line or the given names.

    Raises:
        ValueError: image, box or class cannot be found; with `one_class`, no column needs to have a class.
    """
    header = given or first
    places = _places(header)
    lost = _lost(places, one_class)
    headless = next((name for name, columns in HEADLESS.items() if _fits(first, columns)), "") if lost else ""
    if headless and not given:
        return Columns(_trimmed(_places(HEADLESS[headless])), len(HEADLESS[headless]), headless)
    if lost:
        what = "the columns given do" if given else "its first line does"
        advice = "" if given else _advice(first, lost)
        raise ValueError(
            f"{path}: {what} not say where to find {' and '.join(lost)}. "
            f"Expected a header such as {EXAMPLE}. Received: {','.join(header)[:200]!r}.{advice}"
        )
    return Columns(_trimmed(places), None if given else len(header))


def _places(header):
    plain = [name.strip().lower().replace(" ", "").replace("_", "").replace("-", "") for name in header]
    plain[:1] = [name.removeprefix("#") for name in plain[:1]]  # VIA 1 writes #filename
    places = {}
    for meaning, names in _MEANINGS.items():
        known = [place for place, name in enumerate(plain) if name in names]
        if known:
            places[meaning] = min(known, key=lambda place: names.index(plain[place]))
    if (not {*CORNERS} <= places.keys() and {"x", "y"} <= places.keys()) or {"cx", "cy"} <= places.keys():
        for short, long in (("w", "width"), ("h", "height")):  # x, y, width, height are a box
            if short not in places and long in places:
                places[short] = places.pop(long)
    return places


def _lost(places, one_class):
    if {"image", "shape", "attributes"} <= places.keys():
        return []
    whole = next((way for way in (CORNERS, ("corners",), SIZES, CENTRES, ("box",)) if {*way} <= places.keys()), ())
    corners = [name for name in CORNERS if name not in places]
    lost = [] if "image" in places else ["the image (image)"]
    lost += [] if whole else [f"the box ({', '.join(corners)})"]
    return lost + ([] if one_class or {"label", "number"} & places.keys() else [_CLASS])


_CLASS = "the class (class or class_id)"


def _advice(first, lost):
    if {"annotation_id", "annotator", "lead_time"} <= {*first}:
        return " It is a CSV export of Label Studio: choose Export there, and COCO, YOLO or VOC."
    if lost == [_CLASS]:
        return " If all objects are of one class, pass classes=['its name']."
    if any(cell.strip().replace(".", "", 1).isdecimal() or has_image_ending(cell.strip()) for cell in first):
        return " Pass csv=CsvLayout(columns=(...)) for a file without header."
    return " Rename the columns in the file."


def _trimmed(places):
    """Without the columns of a second description of the box."""
    if "shape" in places:
        return {name: place for name, place in places.items() if name in ("image", "shape", "attributes")}
    ways = (CORNERS, ("corners",), SIZES, CENTRES, ("box",))
    own = next(way for way in ways if {*way} <= places.keys())
    return {name: place for name, place in places.items() if name not in _OF_SIDES or name in own}


def _fits(cells, columns):
    """Whether a line without header is an object, or an image without objects, in these columns."""
    cells = [cell.strip() for cell in cells]
    if len(cells) != len(columns):
        return False
    places = _trimmed(_places(columns))
    cell = {meaning: cells[place] for meaning, place in places.items()}
    sides = [cell[side] for side in (CORNERS if "xmin" in places else SIZES)]
    if not has_image_ending(cell["image"]) or cell.get("split", "").lower() not in _SETS:
        return False
    if not any(sides):
        return not cell["label"]
    try:
        numbers = [finite(text, "") for text in (*sides, *(cell[side] for side in ("width", "height") if side in cell))]
    except EntryError:
        return False
    return bool(numbers) and bool(cell["label"])
