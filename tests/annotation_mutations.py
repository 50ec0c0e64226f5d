"""Annotation files of every format, changed at random, and whether reading accounts for every object in them."""

import csv
import dataclasses
import io
import json
import re
import time
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

import json_mutations
import numpy as np
from data_files import save_image

from keras_ssd.data import DataError
from keras_ssd.data.reading import read_to_check

FORMATS = ("coco", "yolo", "voc", "csv", "cvat", "labelstudio", "labelme", "createml", "via")
LABELS = "0 0.5 0.5 0.5 0.5\n1 .25 .25 .2 .3\n0 0.1 0.1 0.4 0.1 0.4 0.4 0.1 0.4\n1 0.7 0.7 0.2 0.2\n"
YAML = "path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [nut, 'bolt']\n"
TABLE = (
    "image,width,height,xmin,ymin,xmax,ymax,class,difficult\na.jpg,60,40,1,2,30,20,nut,0\na.jpg,60,40,5,5,50,39,bolt,1\n"
    'b.jpg,60,40,10.5,10,20,30,"nut, left",0\nb.jpg,60,40,,,,,,\na.jpg,60,40,3,4,9,9,nut,0\n'
)
_OBJECT = (
    "<object>\n<name>{}</name><truncated>0</truncated><difficult>0</difficult>\n<bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox>\n</object>\n"
)
XML = (
    "<annotation>\n<filename>a.jpg</filename>\n<size><width>60</width><height>40</height><depth>3</depth></size>\n"
    + _OBJECT.format("nut", 1, 2, 30, 20)
    + _OBJECT.format("bolt", 5, 5, 50, 39)
    + _OBJECT.format("nut", 3, 4, 9, 9)
    .replace("bndbox", "polygon")
    .replace("xmin", "x1")
    .replace("ymin", "y1")
    .replace("xmax", "x2")
    .replace("ymax", "y2")
    + "</annotation>\n"
)
_BOXES = (("nut", 1, 2, 29, 18), ("bolt", 5, 5, 45, 34), ("nut", 3, 4, 6, 5))  # class, x, y, width, height
TOOLS = {
    "labelme": {
        "version": "5.2.1",
        "shapes": [
            {"label": c, "points": [[x, y], [x + w, y + h]], "shape_type": "rectangle"} for c, x, y, w, h in _BOXES
        ],
        "imagePath": "a.jpg",
        "imageHeight": 40,
        "imageWidth": 60,
    },
    "createml": [
        {
            "image": f"{name}.jpg",
            "annotations": [
                {"label": c, "coordinates": {"x": x + w / 2, "y": y + h / 2, "width": w, "height": h}}
                for c, x, y, w, h in _BOXES
            ],
        }
        for name in "ab"
    ],
    "via": {
        f"{name}.jpg1": {
            "filename": f"{name}.jpg",
            "regions": [
                {
                    "shape_attributes": {"name": "rect", "x": x, "y": y, "width": w, "height": h},
                    "region_attributes": {"class": c},
                }
                for c, x, y, w, h in _BOXES
            ],
            "file_attributes": {},
        }
        for name in "ab"
    },
}
TOOLS["labelstudio"] = [
    {
        "id": number,
        "data": {"image": f"/data/upload/1/3f5a7b2c-{name}.jpg"},
        "annotations": [
            {
                "id": number,
                "result": [
                    {
                        "id": f"{name}{place}",
                        "type": "rectanglelabels",
                        "original_width": 60,
                        "original_height": 40,
                        "value": {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [c]},
                    }
                    for place, (c, x, y, w, h) in enumerate(_BOXES)
                ],
            }
        ],
    }
    for number, name in enumerate("ab")
]
_CVAT_BOXES = "".join(
    f'<box label=" {c} " occluded="0" xtl=" {x} " ytl=" {y} " xbr=" {x + w} " ybr=" {y + h} " z_order="0">\n</box>\n'
    for c, x, y, w, h in _BOXES
)
CVAT = (
    "<annotations>\n<version>1.1</version>\n<meta><task><mode>annotation</mode></task></meta>\n"
    f'<image id="0" name="{{}}.jpg" width="60" height="40">\n{_CVAT_BOXES}</image>\n</annotations>\n'
)
WORDS = (
    "nan",
    "-1",
    "1e999",
    "",
    "0",
    "99999999999999999999",
    "\u00e9",
    '"',
    "'",
    "<",
    "&amp;",
    ",",
    ";",
    "{",
    "*a",
    "&a",
)
WORDS += (
    "\0",
    "\ufeff",
    "\r",
    "\x85",
    "\u2028",
    "../../a.jpg",
    "object",
    "0x1F",
    "1_0",
    "\u0663",
    "!!int",
    "a" * 300,
    "-0.0",
)


@dataclasses.dataclass
class Outcome:
    """What became of one changed file: "read" without faults, "named" where there are some, or "refused"; what is wrong
    with that, and how long it took."""

    kind: str
    wrong: str = ""
    seconds: float = 0.0


def prepare(format, folder):
    """Makes the images of a dataset; returns the files to change: path -> text."""
    if format == "yolo":
        for seed, split in enumerate(("train", "val")):
            save_image(folder / "images" / split / "a.jpg", seed=seed)
            (folder / "labels" / split).mkdir(parents=True)
            (folder / "labels" / split / "a.txt").write_text("")
        return {folder / "labels" / "train" / "a.txt": LABELS, folder / "data.yaml": YAML}
    for seed, name in enumerate("ab"):
        save_image(folder / "JPEGImages" / f"{name}.jpg", seed=seed)
    if format == "coco":
        return {folder / "result.json": json_mutations.TEXT}
    if format in TOOLS:
        return {folder / "JPEGImages" / "a.json": json.dumps(TOOLS[format], indent=1)}
    if format == "csv":
        return {folder / "boxes.csv": TABLE}
    if format == "cvat":
        return {folder / f"{name}.xml": CVAT.format(name) for name in "ab"}
    (folder / "Annotations").mkdir()
    return {folder / "Annotations" / "a.xml": XML, folder / "Annotations" / "b.xml": XML}


def mutated(text, rng):
    """The bytes of a text with one to four changes."""
    if text.startswith(("{", "[")) and rng.integers(5):
        return json_mutations.mutated(text, rng)
    if text.startswith("<annotations") and rng.integers(5):
        return _attribute(text, rng).encode()
    data = text.encode()
    for _ in range(rng.integers(1, 5)):
        data = _CHANGES[rng.integers(len(_CHANGES))](data, rng)
    return data


def _attribute(text, rng):
    """XML that stays whole, with another value of an attribute."""
    values = list(re.finditer('"([^"]*)"', text))
    chosen, word = values[rng.integers(len(values))], WORDS[rng.integers(len(WORDS))].replace("\0", "")
    return text[: chosen.start(1)] + escape(word, {'"': "&quot;"}) + text[chosen.end(1) :]


def _cut(data, rng):
    return data[: rng.integers(len(data) + 1)]


def _byte(data, rng):
    place = int(rng.integers(len(data) + 1))
    return data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :]


def _span(data, rng):
    low, high = sorted(int(place) for place in rng.integers(0, len(data) + 1, 2))
    return data[:low] + data[low:high] * int(rng.integers(0, 3)) + data[high:]


def _line(data, rng):
    lines = data.split(b"\n")
    one, other = (int(place) for place in rng.integers(0, len(lines), 2))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines[:one] + lines[one : one + 1] * int(rng.integers(0, 4)) + lines[one + 1 :])


def _word(data, rng):
    word = WORDS[rng.integers(len(WORDS))].encode()
    spots = [place for place, byte in enumerate(data) if byte in b" ,<>\n:[]"] or [0]
    low = spots[rng.integers(len(spots))]
    high = next((place for place in spots if place > low), len(data))
    return data[: low + 1] + word + data[high if rng.integers(3) else low + 1 :]


_CHANGES = (_cut, _byte, _span, _line, _word, _word, _word)


def outcome(format, folder, files, rng):
    """Changes one of the files, reads the dataset and holds it against what the files hold."""
    chosen = list(files)[rng.integers(len(files))]
    for path, text in files.items():
        path.write_bytes(mutated(text, rng) if path == chosen else text.encode())
    began = time.perf_counter()
    try:
        _, whole = read_to_check(folder, format=format, classes=None, images=None, csv=None, progress=False)
        refused = None
    except Exception as error:
        refused = error
    seconds = time.perf_counter() - began
    if refused is not None:
        clear = type(refused) in (DataError, ValueError) and len(str(refused)) < 20_000 and str(folder) in str(refused)
        return Outcome("refused", "" if clear else f"{type(refused).__name__}: {refused}", seconds)
    wrong = "; ".join(_unaccounted(format, files, whole)) or ("" if seconds < 5 else "it took too long")
    return Outcome("named" if whole.problems.faults else "read", wrong, seconds)


def _unaccounted(format, files, whole):
    """Objects of the files that are neither read nor named."""
    problems = whole.problems
    for path in files:
        of_file = [problem for problem in problems if problem.file == str(path)]
        whole_file = format != "coco" and any(
            problem.kind in ("file", "missing image", "duplicate id") for problem in of_file
        )
        no_split = any(problem.kind in ("absent split", "unused") for problem in problems)
        if no_split or (whole_file and path.suffix != ".csv"):
            continue
        if format == "coco":
            yield from json_mutations.unaccounted(path, whole, of_file)
        elif format in TOOLS:
            yield from _lost_regions(format, path, whole, of_file)
        elif format in ("voc", "cvat"):
            yield from _lost_objects(format, path, whole, of_file)
        elif path.suffix in (".txt", ".csv"):
            known = {problem.line for problem in of_file}
            known |= {int(line) for a in whole if a.source == str(path) for line in a.lines}
            lost = {
                "missing image": any(problem.kind == "missing image" for problem in of_file),
                "lines": sorted(_object_lines(path) - known),
            }
            if lost["lines"] and not lost["missing image"]:
                yield f"{path.name}: lines {lost['lines']} are neither read nor named"


def _lost_objects(format, path, whole, of_file):
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError:
        yield f"{path.name} is no XML, and nobody says so"
        return
    held = [child for child in root if child.tag.lower() == "object"]
    if format == "cvat":
        inside = [child for image in root if image.tag.lower() == "image" for child in image]
        held = [child for child in inside if child.tag not in ("tag", "attribute")]
        held += [child for child in root if child.tag.lower() not in ("version", "meta", "image")]
    read = sum(len(a) for a in whole if a.source == str(path))
    gone = ("entry", "label", "no area", "outside", "swapped")
    named = sum(problem.kind in gone and problem.done == "left out" for problem in of_file)
    if len(held) != read + named:
        yield f"{path.name}: {len(held)} objects, {read} read and {named} named"


def _lost_regions(format, path, whole, of_file):
    content = json.loads(path.read_bytes())
    if format == "labelme":
        held = content["shapes"]
    elif format == "labelstudio":
        held = [
            region for task in content for made in task.get("annotations", [])[-1:] for region in made.get("result", [])
        ]
    elif format == "createml":
        held = [region for image in content for region in image.get("annotations", image.get("annotation", []))]
    else:
        held = [region for image in content.values() for region in image.get("regions", [])]
    read = sum(len(a) for a in whole if a.source == str(path))
    gone = ("entry", "label", "no area", "outside", "swapped")
    named = sum(problem.kind in gone and problem.done == "left out" for problem in of_file)
    if len(held) != read + named:
        yield f"{path.name}: {len(held)} objects, {read} read and {named} named"


def _object_lines(path):
    """Numbers of the lines that hold something like an object, by other means than the readers'."""
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".txt":
        return {number for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    header, found = None, set()
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = cells
        elif any(cell.strip() for cell in cells[3:8]):  # else an image without objects
            found.add(rows.line_num)
    return found


def run(format, folder, count, seed=0):
    """{kind: how many} of `count` changed files, and the list of what went wrong."""
    rng = np.random.default_rng(seed)
    files = prepare(format, folder)
    counts, wrong, slowest = {}, [], 0.0
    for number in range(count):
        found = outcome(format, folder, files, rng)
        counts[found.kind] = counts.get(found.kind, 0) + 1
        slowest = max(slowest, found.seconds)
        if found.wrong:
            wrong.append((number, found.wrong, {path.name: path.read_bytes() for path in files}))
    return counts, wrong, slowest
