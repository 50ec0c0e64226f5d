"""Names: what class names may be, and one wording for names that are not known, always with the nearest known one."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN = 20  # names that an error lists; all of VOC
# The detectors that the package builds by name; `keras_ssd.models.opening.FACTORIES` has their functions.
DETECTORS = ("mobilenet_ssd", "ssd300", "ssd512", "ssd7", "ssd_mobilenet_v1", "ssd_small", "ssdlite320")


def listed(names: Iterable[Any], shown: int = SHOWN) -> str:
    """The first names in a row, and how many there are where those are not all."""
    names = [str(name) for name in names]
    return ", ".join(names[:shown]) + (f", ... ({len(names)} in all)" if len(names) > shown else "")


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; it is taken from now on.

    Args:
        name: the preferred one.
        taken: set of names.
    """
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def nearest(name: Any, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names closest to `name`, best first; upper and lower case do not count.

    Where none is close, those count whose last part is: `cels` is close to `ssd_small.cells`.
    """
    known = [str(k) for k in known]
    for parts, cutoff in ((known, 0.5), ([re.split("[._]", k)[-1] for k in known], 0.6)):
        folded = {}
        for part, whole in zip(parts, known, strict=True):
            folded.setdefault(part.casefold(), []).append(whole)
        hits = difflib.get_close_matches(str(name).casefold(), folded, n=count, cutoff=cutoff)
        if hits:
            return [whole for hit in hits for whole in folded[hit]][:count]
    return []


def did_you_mean(close: Sequence[str]) -> str:
    """ " Did you mean 'cat' or 'cow'?", or "" if there is no close name."""
    return f" Did you mean {' or '.join(map(str, close))}?" if close else ""


def files_nearby(path: Any) -> str:
    """ " Did you mean runs/mine.keras?" for a missing path, if a file with a similar name exists."""
    folder, name = os.path.split(os.fspath(path))
    try:
        beside = os.listdir(folder or ".")
    except OSError:
        return ""
    return did_you_mean([os.path.join(folder, other) for other in nearest(name, beside)])


def unknown_name(kind: str, name: Any, known: Iterable[str], advice: str = "") -> str:
    """The text for an unknown name: what, nearest names, some known ones, and what to do."""
    known = [str(k) for k in known]
    text = f"Unknown {kind} {name!r}." + did_you_mean([repr(close) for close in nearest(name, known)])
    text += f" Known: {listed(known)}." if known else " None is known."
    return text + (f" {advice}" if advice else "")


def fold(name: str) -> str:
    """A class name without what differs between label files: case, spaces, underscores and hyphens."""
    return "".join(c for c in name.casefold() if c not in " _-")


def check_class_names(argument: str, names: Any) -> tuple[str, ...]:
    """Class names as a tuple.

    Args:
        argument: what messages call them.
        names: list of strings, background not counted.

    Raises:
        TypeError: no list of strings.
        ValueError: none, an empty name, a name twice, or the background.
    """
    listed = isinstance(names, Iterable) and not isinstance(names, (str, bytes, Mapping))
    given: tuple[Any, ...] = tuple(names) if listed else ()
    if not listed or not all(isinstance(name, str) for name in given):
        raise TypeError(
            f"`{argument}` must be a list of class names, such as ['cat', 'dog']; the background is not counted. "
            f"Received: {argument}={names!r}"
        )
    if not given or not all(name.strip() for name in given):
        raise ValueError(f"`{argument}` needs at least one name and no empty one. Received: {argument}={given}")
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"`{argument}` names {twice} more than once. Received: {argument}={given}")
    if any(fold(name) == "background" for name in given):
        raise ValueError(
            f"`{argument}` must not name the background: it is always there and never counted. "
            f"Received: {argument}={given}"
        )
    return given
