"""Reads the class names from label files of other programs.

These are plain lines, numbered lines, comments, label maps of TensorFlow and Caffe, json of COCO and Hugging Face, and
yaml of YOLO. The names are returned as written, including a background and fillers such as `???`; `label_fitting`
interprets them.
"""

import csv
import json
import re
from os import PathLike
from pathlib import Path

from keras_ssd.text_files import TextError, read_text

FILLER = "???"  # stands for a number without a class
LARGEST = 8 << 20  # bytes; ILSVRC's thousand classes take 30,000
_ITEM = re.compile(r"item\s*:?\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FIELD = re.compile(r"""(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))""")
_NUMBERED = re.compile(r"(\d+)\s*[:;,.)\t ]\s*(\S.*)")
_WORDNET = re.compile(r"(n\d{8})\s+(\S.*)")
_HEADER = re.compile(r"(id|index|number|class_?id|label)\s*[,;\t ]\s*(name|label|class|class_?name)", re.I)
_NAMES = ("names", "id2label", "categories", "classes", "labels", "class_names", "label_map", "label2id")


def read_label_file(path: str | PathLike[str]) -> tuple[str, ...]:
    """The class names in a label file, in order; `"???"` for numbers without a class.

    Args:
        path: a text file with one name per line, numbered or not; a label map (.pbtxt, .prototxt); .json; .yaml.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text, or none of these.
    """
    text = _text(path)
    ending = Path(path).suffix.lower()
    if ending == ".json" or text.lstrip()[:1] in ("{", "["):
        names = _of_json(path, text)
    elif ending in (".yaml", ".yml"):
        names = _of_yaml(path, text)
    elif _ITEM.search(text):
        names = _of_items(path, text)
    else:
        names = _of_lines(text)
    if not names:
        raise ValueError(f"The label file {path} is empty. Expected one class name per line.")
    return tuple(names)


def _text(path):
    try:
        return read_text(path, LARGEST)
    except TextError as error:
        place = f"{path}:{error.line}" if error.line else path
        raise ValueError(f"The label file {place} cannot be read: {error}. Expected one class name per line.") from None


def _of_lines(text):
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "//"))]
    if lines and _HEADER.fullmatch(lines[0]):
        lines = lines[1:]
    numbered = [hit for line in lines if (hit := _NUMBERED.fullmatch(line))]
    if lines and len(numbered) == len(lines):
        return _in_order([(int(hit[1]), _unquoted(hit[2])) for hit in numbered])
    rows = [next(csv.reader([line], delimiter="\t" if "\t" in line else ","), []) for line in lines]
    if rows and all(len(row) == 2 and row[1].strip().isdecimal() for row in rows):
        return _in_order([(int(row[1]), row[0].strip()) for row in rows])
    wordnet = [hit for line in lines if (hit := _WORDNET.fullmatch(line))]
    if lines and len(wordnet) == len(lines):
        return [hit[2] for hit in wordnet]
    return [_unquoted(line.rstrip(",")) for line in lines]


def _unquoted(name):
    name = name.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"" else name


def _of_items(path, text):
    """TensorFlow's `item { id: 1 name: "/m/01g317" display_name: "person" }` and Caffe's, with `label` for `id`."""
    pairs = []
    for hit in _ITEM.finditer(re.sub(r"(?m)^\s*#.*$", "", text)):
        fields = {found[1]: next(filter(None, found.groups()[1:]), "") for found in _FIELD.finditer(hit[1])}
        number, name = fields.get("id", fields.get("label")), fields.get("display_name") or fields.get("name")
        if name is None:
            raise ValueError(f"The label map {path} has an item without a name: {' '.join(hit[1].split())[:80]}")
        pairs.append((len(pairs) + 1 if number is None else _number(path, number), name))
    return _in_order(pairs)


def _of_json(path, text):
    try:
        return _listed(path, json.loads(text))
    except ValueError as error:
        raise ValueError(f"The label file {path} holds no class names as json. {error}") from None


def _of_yaml(path, text):
    import yaml

    try:
        return _listed(path, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"The label file {path} is not yaml. {error}") from None


def _listed(path, value):
    """Names from a list, {number: name}, {name: number}, a list of objects, or an object that has one of these."""
    if isinstance(value, dict):
        for key in _NAMES:
            if isinstance(value.get(key), (list, dict)):
                return _listed(path, value[key])
        if all(isinstance(name, str) and str(number).isdecimal() for number, name in value.items()):
            return _in_order([(int(number), name) for number, name in value.items()])
        if all(isinstance(number, int) for number in value.values()):
            return _in_order([(number, str(name)) for name, number in value.items()])
    elif isinstance(value, list):
        if all(isinstance(name, (str, int)) for name in value):
            return [str(name) for name in value]
        if all(isinstance(one, dict) and "name" in one for one in value):
            number = [one.get("id", one.get("label", place)) for place, one in enumerate(value)]
            return _in_order([(_number(path, n), str(one["name"])) for n, one in zip(number, value, strict=True)])
    raise ValueError("Expected a list of names, or names with their numbers.")


def _number(path, value):
    if not str(value).isdecimal():
        raise ValueError(f"The label file {path} numbers a class {value!r}. Expected whole numbers.")
    return int(value)


def _in_order(pairs):
    """Names in the order of their numbers; numbers that are left out become fillers where counting starts at 0 or 1."""
    names = dict(pairs)
    if len(names) != len(pairs) or not names:
        return [name for _, name in pairs]
    least, most = min(names), max(names)
    if least > 1 or most > 10 * len(names) + 100:
        return [names[number] for number in sorted(names)]
    return [names.get(number, FILLER) for number in range(least, most + 1)]
