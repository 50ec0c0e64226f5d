"""Reads json files of detections in little memory."""

import json
import os
from collections.abc import Callable
from typing import Any

from keras_ssd.evaluation.formats.rows import opened

_HEAD = 1 << 16


def read_json(path: str | os.PathLike[str], object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The content of a json file.

    Raises:
        ValueError: the file is not complete json; the message gives line and column.
    """
    with opened(path) as file:
        try:
            return json.load(file, object_hook=object_hook)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path} is not a complete json file: {error.msg} at line {error.lineno}, column {error.colno}. If it "
                "was truncated, write or copy it again."
            ) from None
        except RecursionError:
            raise ValueError(f"{path} is nested too deeply for a file of detections.") from None


def kind(path: str | os.PathLike[str]) -> str:
    """The format of a json file, from its first bytes: "coco" or "json"."""
    with opened(path) as file:
        head = file.read(_HEAD)
    return "coco" if '"image_id"' in head or head.split() in (["[]"], ["[", "]"]) else "json"
