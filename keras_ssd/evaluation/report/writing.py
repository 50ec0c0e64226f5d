"""Writes the report: one self-contained HTML file."""

import base64
import hashlib
import importlib.resources
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.calling import checked_arguments
from keras_ssd.evaluation.analysis.comparing import check_comparable
from keras_ssd.replacing import replacing

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result

FILE = "report.html"


@checked_arguments
def write_report(
    results: "Result | Sequence[Result] | Mapping[str, Result]",
    folder: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    anchors: Any = None,
) -> Path:
    """Writes the report of one or more detectors on the same images.

    The page contains its images, style and script, and loads nothing. The script only sorts tables. The page is about
    the first result; the others are shown beside it. If the results know their dataset, galleries show the worst misses
    and false alarms, and the objects that one detector finds and the other does not.

    Args:
        results: a `Result`, a list of them, or a dictionary from the detectors' names to them.
        folder: where `report.html` is written; it is created if it is missing.
        names: of the detectors; None for the dictionary's, or "detector 1" and so on.
        anchors: `AnchorSpec` or model for results read from files; results of `evaluate` have their own.

    Returns:
        The path of the page.

    Raises:
        ImportError: the extra `report` is not installed.
        ValueError: the results differ in measure, images, classes or objects, or do not match the names.

    Example:
        >>> write_report({"before": before, "after": after}, "report", anchors=model)
        PosixPath('report/report.html')
    """
    jinja2 = _import_jinja2()
    listed, names = _named(results, names)
    check_comparable(listed)
    from keras_ssd.evaluation.report.page import contents

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _read("sort.js").strip()
    text = environment.get_template("page.html").render(
        **contents(listed, names, anchors),
        style=_read("style.css").strip(),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _import_jinja2():
    try:
        import jinja2
    except ImportError as error:
        raise ImportError("Writing a report needs the package `jinja2`: pip install 'keras-ssd[report]'") from error
    return jinja2


def _read(name):
    return importlib.resources.files("keras_ssd.evaluation.report").joinpath("templates", name).read_text("utf-8")


def _named(results, names) -> "tuple[list[Result], list[str]]":
    """List of results and list of names."""
    if isinstance(results, Mapping):
        names = list(results) if names is None else names
        results = list(results.values())
    elif not isinstance(results, (list, tuple)):
        results = [results]
    if names is None:
        numbered = [f"detector {number}" for number in range(1, len(results) + 1)]
        names = ["the detector"] if len(results) == 1 else numbered
    names = [str(name) for name in names]
    if len(names) != len(results) or len(set(names)) != len(names):
        raise ValueError(
            f"`names` must give each of the {len(results)} results a different name. Received: names={names}"
        )
    return list(results), names
