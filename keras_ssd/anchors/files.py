"""Anchors as JSON files, so that they are fitted once and used in several trainings."""

import json
import os
from os import PathLike
from pathlib import Path

from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.calling import checked_arguments
from keras_ssd.names import files_nearby
from keras_ssd.replacing import replacing
from keras_ssd.text_files import read_text

MOST_BYTES = 1 << 20
MOST_ANCHORS = 1_000_000


@checked_arguments
def write_spec(spec: AnchorSpec, path: str | PathLike[str]) -> Path:
    """Writes an `AnchorSpec` as JSON. A file appears only when it is complete.

    Args:
        spec: `AnchorSpec`.
        path: of the file; its folder must exist.

    Returns:
        The path.
    """
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(spec.to_dict(), indent=1) + "\n", encoding="utf-8")
    return path


@checked_arguments
def read_spec(path: str | PathLike[str]) -> AnchorSpec:
    """The `AnchorSpec` in a file that `write_spec` or `keras-ssd anchors fit` wrote.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no such description, was written by a newer version, or is absurdly large.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file of anchors at {path}.{files_nearby(path)}")
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(f"{path} is not a description of anchors: it has {os.path.getsize(path):,} bytes.")
    try:
        data = json.loads(read_text(path))
        if not isinstance(data, dict) or "levels" not in data:
            raise ValueError("it has no levels")
        spec = AnchorSpec.from_dict(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} is not a description of anchors, as `keras-ssd anchors fit` writes them: {text}"
        ) from None
    if spec.num_anchors > MOST_ANCHORS:
        raise ValueError(f"{path} describes {spec.num_anchors:,} anchors; at most {MOST_ANCHORS:,} are read.")
    return spec
