"""The schema of catalog.toml: required and optional fields of rows, and their checks."""

import re
import string
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from keras_ssd.names import unknown_name

NUMBER = (int, float)
# Hexadecimal digits of a checksum. "sha256_prefix": the file name carries the first 8 digits of its sha256.
DIGEST_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128, "sha256_prefix": 8}

# Tables of anchors that weights were trained with.
SCALES = ("voc", "coco", "cells")

# Table -> field -> (type, required)
FIELDS: dict[str, dict[str, tuple[Any, bool]]] = {
    "formats": {"title": (str, True), "extension": (str, True), "readable": (bool, True), "magic": (list, False)},
    "models": {"title": (str, True), "available": (bool, True), "input_size": (list, False), "note": (str, False)},
    "preprocessing": {"colour": (str, True), "mean_rgb": (list, True), "scale": (NUMBER, True)},
    "weights": {
        "model": (str, True),
        "tag": (str, True),
        "trained_on": (str, True),
        "licence": (str, True),
        "sources": (list, True),
        "classes": (str, False),
        "slots": (int, False),
        "scales": (str, False),
        "anchors_truncated": (bool, False),
        "anchors_clipped": (bool, False),
        "preprocessing": (str, False),
        "results": (list, False),
        "note": (str, False),
    },
    "source": {
        "format": (str, True),
        "file": (str, True),
        "url": (str, False),
        "bundled": (bool, False),
        "archive": (str, False),
        "member": (str, False),
        "prototxt": (str, False),
        "size": (int, False),
        "about_mb": (NUMBER, False),
        "checksum": (str, False),
        "note": (str, False),
    },
    "result": {
        "dataset": (str, True),
        "measure": (str, True),
        "value": (NUMBER, True),
        "source": (str, True),
        "note": (str, False),
    },
}


def _check_fields(table, row, where):
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be a table. Received: {row!r}")
    allowed = FIELDS[table]
    for field in row:
        if field not in allowed:
            raise ValueError(f"{where}: " + unknown_name("field", field, allowed))
    for field, (kind, required) in allowed.items():
        if field not in row:
            if required:
                raise ValueError(f"{where} has no {field!r}. Every {table} row needs it.")
            continue
        value = row[field]
        # bool is an int in Python, but `size = true` is a mistake.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = kind.__name__ if isinstance(kind, type) else "number"
            raise ValueError(f"{where}: {field} must be of type {wanted}. Received: {field}={value!r}")


def _known(value, known, what, where):
    if value not in known:
        raise ValueError(f"{where}: " + unknown_name(what, value, known))


def check_document(document: dict[str, Any]) -> dict[str, Any]:
    """Checks and returns the whole parsed catalogue; each error names its row.

    Raises:
        ValueError: the first thing that is wrong.
    """
    tables = ("formats", "models", "preprocessing", "weights")
    if document.get("schema") != 1:
        raise ValueError(f"schema must be 1. Received: schema={document.get('schema')!r}")
    for key in document:
        _known(key, ("schema", *tables), "table", "the catalogue")
    for table in tables:
        if table not in document:
            raise ValueError(f"the table {table!r} is missing.")
    for table in tables[:3]:
        for name, row in document[table].items():
            _check_fields(table, row, f"[{table}.{name}]")
    _check_values(document)
    names = set()
    for number, row in enumerate(document["weights"], 1):
        where = f"weights row {number} ({row.get('model', '?')}.{row.get('tag', '?')})"
        _check_row(document, row, where)
        if where.partition("(")[2] in names:
            raise ValueError(f"{where}: the name occurs twice in the catalogue.")
        names.add(where.partition("(")[2])
    return document


def _check_values(document):
    for name, row in document["models"].items():
        size = row.get("input_size", [1, 1])
        if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
            raise ValueError(f"[models.{name}]: input_size must be [height, width]. Received: {size!r}")
    for name, row in document["preprocessing"].items():
        where = f"[preprocessing.{name}]"
        _known(row["colour"], ("rgb", "bgr"), "colour", where)
        if len(row["mean_rgb"]) != 3 or not all(isinstance(value, NUMBER) for value in row["mean_rgb"]):
            raise ValueError(f"{where}: mean_rgb must be three numbers. Received: {row['mean_rgb']!r}")


def _check_row(document, row, where):
    _check_fields("weights", row, where)
    _known(row["model"], document["models"], "model", where)
    if not re.fullmatch(r"[a-z0-9][\w+-]*", row["tag"]):
        raise ValueError(f"{where}: tag must be of letters, digits, + - and _. Received: tag={row['tag']!r}")
    if "scales" in row:
        _known(row["scales"], SCALES, "scales", where)
    if "preprocessing" in row:
        _known(row["preprocessing"], document["preprocessing"], "preprocessing", where)
    if not row["sources"]:
        raise ValueError(f"{where} has no source.")
    for number, source in enumerate(row["sources"], 1):
        place = f"{where}, source {number}"
        _check_fields("source", source, place)
        _known(source["format"], document["formats"], "format", place)
    for number, result in enumerate(row.get("results", ()), 1):
        _check_fields("result", result, f"{where}, result {number}")
        if not 0 <= result["value"] <= 100:
            raise ValueError(f"{where}, result {number}: value must be per cent. Received: {result['value']}")


def check_source(source: Any) -> None:
    """Checks the fields of a `Source`, which calls it, so that sources made in code are checked, too.

    Raises:
        ValueError: a file name with a folder in it, a url that is not http(s), a file that is neither bundled nor has a
            url, a malformed checksum or size.
    """
    for field in ("file", "archive"):
        name = getattr(source, field)
        if name is not None and not _is_plain_name(name):
            raise ValueError(f"{field} must be a bare file name. Received: {field}={name!r}")
    if source.member and not source.archive:
        raise ValueError(f"member is given without archive. Received: member={source.member!r}")
    if source.prototxt and not (source.archive and source.format == "caffemodel"):
        raise ValueError(
            "prototxt is a member of the archive that holds a caffemodel. "
            f"Received: prototxt={source.prototxt!r}, format={source.format!r}, archive={source.archive!r}"
        )
    if source.bundled == (source.url is not None) or (source.bundled and source.archive):
        raise ValueError(
            "a source either has a url or is `bundled = true`, a file in this package. "
            f"Received: bundled={source.bundled}, url={source.url!r}, archive={source.archive!r}"
        )
    if not source.bundled:
        _check_url(source.url)
    if source.size is not None and source.size <= 0:
        raise ValueError(f"size must be positive. Received: size={source.size!r}")
    if source.checksum is not None:
        split_checksum(source.checksum)


def _check_url(url):
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or set(url) & set(string.whitespace):
        raise ValueError(f"url must be an http or https address. Received: url={url!r}")


def _is_plain_name(name):
    """Whether `name` is one path component on every operating system, and no hidden or reserved one."""
    parts = (PurePosixPath(name).name, PureWindowsPath(name).name)
    return bool(name) and parts == (name, name) and not name.startswith(".") and ":" not in name


def split_checksum(text: str) -> tuple[str, str]:
    """`"algorithm:hex"` as (algorithm, hex).

    Raises:
        ValueError: unknown algorithm, or not as many hexadecimal digits as it has.
    """
    algorithm, _, digits = text.partition(":")
    wanted = DIGEST_DIGITS.get(algorithm)
    if wanted is None or not re.fullmatch(rf"[0-9a-f]{{{wanted}}}", digits):
        digits = ", ".join(f"{name} {count}" for name, count in DIGEST_DIGITS.items())
        raise ValueError(
            "checksum must be 'algorithm:lower-case hex' with as many digits as the algorithm has "
            f"({digits}). Received: checksum={text!r}"
        )
    return algorithm, digits
