"""Recognises the tool that wrote an annotation file, and gives advice for files that are not read."""

import functools
import json
import os
import re
from pathlib import Path

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.table_columns import EXAMPLE
from keras_ssd.text_files import beginning

_HEAD = 1 << 16
_LARGEST = 32 << 20  # bytes that are searched if an embedded image fills the start of a file
_MOST_FILES = 50  # of a folder that are looked at
COCO, LABELME, CREATEML, VIA = "coco", "labelme", "createml", "via"
CVAT, LABEL_STUDIO = "cvat", "labelstudio"
_STUDIO_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")

_AS_CSV = f"Convert it to COCO, YOLO or VOC, or to a CSV file with the header {EXAMPLE}."
_WITH_FIFTYONE = (
    "FiftyOne converts it: fiftyone convert --input-dir DIR --input-type fiftyone.types.{} --output-dir coco "
    "--output-type fiftyone.types.COCODetectionDataset."
)
_DATUMARO = "Datumaro converts it: datum convert -i DIR -if {} -f coco -o coco -- --save-media."
_RESULTS = "These are detections, not annotations. Evaluate them: keras-ssd evaluate, or keras_ssd.evaluation.evaluate."

# kind: (what it is, what to do)
UNREAD: dict[str, tuple[str, str]] = {
    "vott": ("a json file of VoTT", "In VoTT, choose CSV or Pascal VOC as export provider, and export again."),
    "supervisely": ("a json file of Supervisely", "In Supervisely, run the app Export to COCO or to Pascal VOC."),
    "via 3": ("a project of VIA 3", "Draw or import it in VIA 2 and save its project, or write COCO or CSV."),
    "datumaro": ("a json file of Datumaro", _DATUMARO.format("datumaro")),
    "fiftyone": ("a json file of FiftyOne", _WITH_FIFTYONE.format("FiftyOneImageDetectionDataset")),
    "bdd": ("a json file of BDD100K or Scalabel", _WITH_FIFTYONE.format("BDDDataset")),
    "labelbox": ("a json export of Labelbox", _AS_CSV),
    "darwin": ("a json file of V7 Darwin", "In V7, export as COCO, YOLO or Pascal VOC."),
    "coco results": ("a list of COCO results", _RESULTS),
    "coco captions": ("a COCO json of captions", "Take the instances json of the same images."),
    "coco panoptic": ("a COCO json of panoptic segments", "Take the instances json of the same images."),
    "json lines": ("a file of json lines, one for each image", _AS_CSV),
    "dlib": ("an xml file of dlib's imglab", _AS_CSV),
    "kitti": ("a label file of KITTI", _WITH_FIFTYONE.format("KITTIDetectionDataset")),
    "dota": ("a label file of DOTA (turned boxes as four points)", _DATUMARO.format("dota")),
    "mot": ("a file of MOT or VisDrone (boxes with commas between numbers)", _AS_CSV),
    "wider": ("a list of WIDER FACE", _DATUMARO.format("wider_face")),
    "names and corners": ("a text with a class name and four numbers per line (OIDv4)", _AS_CSV),
    "counted corners": ("a file of BBox-Label-Tool", _AS_CSV),
    "tfrecord": ("a TFRecord file", "Export COCO or VOC where it came from; Roboflow offers both."),
    "parquet": ("a Parquet file", _AS_CSV),
    "pickle": ("a pickle, which can run programs when it is opened", _AS_CSV),
    "matlab": ("a MATLAB file", _AS_CSV),
    "sheet": ("a spreadsheet", "Save it as CSV."),
    "archive": ("an archive", "Unpack it, and give the folder."),
}
_ENDINGS = {
    **dict.fromkeys((".tfrecord", ".tfrecords", ".record"), "tfrecord"),
    **dict.fromkeys((".jsonl", ".ndjson", ".manifest"), "json lines"),
    **dict.fromkeys((".pkl", ".pickle"), "pickle"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "sheet"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"), "archive"),
    ".parquet": "parquet",
    ".mat": "matlab",
}


def _key(*names):
    return rf'"(?:{"|".join(names)})"\s*:'


# The start of json files: (kind, first character, patterns that all occur); the first that matches.
_JSON = (
    (VIA, "{", (_key("_via_img_metadata", "_via_settings"),)),
    (VIA, "{", (_key("filename"), _key("regions"), _key("shape_attributes", "file_attributes"))),
    ("via 3", "{", (_key("vid_list"),)),
    ("vott", "{", (_key("asset", "assets"), _key("regions", "lastVisitedAssetId"))),
    (LABELME, "{", (_key("shapes"),)),
    ("supervisely", "{", (_key("geometryType", "classTitle"),)),
    ("supervisely", "{", (_key("description"), _key("tags"), _key("objects"))),
    ("datumaro", "{", (_key("items"), _key("categories"))),
    ("fiftyone", "{", (_key("classes"), r'"labels"\s*:\s*\{')),
    ("darwin", "{", (_key("bounding_box"), _key("item", "dataset"))),
    ("labelbox", "{[", (_key("data_row", "DataRow ID", "Labeled Data"),)),
    ("coco panoptic", "{", (_key("segments_info"),)),
    (LABEL_STUDIO, "[", (_key(*_STUDIO_LABELS),)),
    (LABEL_STUDIO, "[", (_key("annotations", "predictions"), _key("result", "completed_by"))),
    ("bdd", "[", (_key("box2d"),)),
    (CREATEML, "[", (_key("image", "imagefilename"), _key("annotations", "annotation"))),
    ("coco results", "[", (_key("image_id"), _key("score"))),
)
_XML = {"annotations": CVAT, "dataset": "dlib", "view": "labeling config"}  # the last is Label Studio's
_NUMBER = r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_TEXT = (
    ("kitti", rf"[A-Za-z]\w*(?: {_NUMBER}){{14,15}}\s*$"),
    ("dota", rf"(?:imagesource:.*\n)?(?:gsd:.*\n)?(?:{_NUMBER} ){{8}}[A-Za-z]\S*(?: [0-2])?\s*$"),
    ("mot", rf"{_NUMBER}(?:, ?{_NUMBER}){{6,9}},?\s*$"),
    ("wider", rf"\S.*\.\w{{3,4}}\s*\n\d+\s*\n(?:{_NUMBER} ){{9}}"),
    ("names and corners", rf"[A-Za-z]\S*(?: {_NUMBER}){{4}}\s*$"),
    ("counted corners", rf"\d+\s*\n{_NUMBER}(?: {_NUMBER}){{3}}(?: \S+)?\s*$"),
)


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of an annotation file by its content: one of `UNREAD`, of this module's constants, or None."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return _kind(str(path), facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=100_000)  # each format asks of each file
def _kind(path, size, modified):
    ending = os.path.splitext(path)[1].lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    try:
        with open(path, "rb") as file:
            head = beginning(file.read(_HEAD)).lstrip()
            if ending == ".json" and '"imageData"' in head and size <= _LARGEST:
                head = re.sub(r'"imageData"\s*:\s*"[^"]*"', '"imageData": ""', head + beginning(file.read()))[:_HEAD]
    except OSError:
        return None
    if ending == ".json":
        return _kind_of_json(head, path)
    if ending == ".xml":
        root = re.match(r"(?:\s|<\?.*?\?>|<!--.*?-->)*<([\w.-]+)", head, re.DOTALL)
        return _XML.get(root[1].lower()) if root else None
    if ending == ".txt":
        head = head.replace("\t", " ").replace("\r", "")
        return next((kind for kind, pattern in _TEXT if re.match(pattern, head, re.MULTILINE)), None)
    return None


def _kind_of_json(head, path):
    for kind, start, patterns in _JSON:
        if head[:1] and head[0] in start and all(re.search(pattern, head) for pattern in patterns):
            return kind
    if head[:1] != "{":
        return None
    if re.search(_key("caption"), head) and not re.search(_key("bbox"), head):
        return "coco captions"
    if not re.search(_key("images", "annotations", "categories", "info"), head):
        return None
    return None if _is_notes(head) else COCO


def _is_notes(head):
    """Whether a json file is Label Studio's notes.json, with classes alone."""
    try:
        return {*json.loads(head)} == {"categories", "info"}
    except (ValueError, RecursionError, TypeError):
        return False


def refusal(path: str | os.PathLike[str]) -> str | None:
    """The message about a file of a known tool that is not read; None if there is no such file.

    A folder is searched with two levels below it.
    """
    for file in [Path(path)] if os.path.isfile(path) else _files(Path(path), 2):
        kind = kind_of(file)
        if kind in UNREAD:
            what, advice = UNREAD[kind]
            return f"{file} is {what}, which keras_ssd does not read. {advice}"
    return None


def _files(folder, levels):
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    known = (".json", ".xml", ".txt", *_ENDINGS)
    files = [each for each in inside if each.suffix.lower() in known and each.name[0] != "." and each.is_file()]
    yield from files[:_MOST_FILES]
    for below in lay.subfolders(folder)[:_MOST_FILES] if levels else ():
        yield from _files(below, levels - 1)
