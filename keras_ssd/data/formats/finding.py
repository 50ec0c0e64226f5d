"""Finds the image that an annotation names, by a path of another machine if need be.

Labelling tools write names as they stood where the labelling was done: with backslashes, a drive or a home folder in
front, as a URL with percent escapes, in another Unicode form or another case. The longest tail of such a path that
exactly one image has is the image that is meant.
"""

import contextlib
import dataclasses
import os
import re
import typing
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.problems import Problem
from keras_ssd.images import has_image_ending, is_image_name
from keras_ssd.names import listed

BY_TAIL = "an image is found by the end of the path that names it"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: c:// is a drive
_DRIVE = re.compile(r"^[A-Za-z]:")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts in front of the names of uploads


@dataclasses.dataclass(frozen=True)
class Found:
    """What became of a name.

    Args:
        path: of the image, None if there is none or several might be meant.
        exact: whether it lies where the name says.
        candidates: paths that might be meant, where those are several.
    """

    path: str | None = None
    exact: bool = False
    candidates: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.path is not None or bool(self.candidates)


class _File(typing.NamedTuple):
    path: str
    parts: tuple
    folded: tuple


class ImageFinder:
    """Finds images by what annotations call them.

    Args:
        folders: where names are looked up as they stand, the likeliest first.
        own: those of them that belong to the split that is read: of several images that a path of another machine may
            mean, one in them is meant.
        below: folders in which images are looked for, with all folders below them, where a name does not fit; by
            default `folders`.
    """

    def __init__(
        self,
        folders: Sequence[str | os.PathLike[str]],
        own: Iterable[str | os.PathLike[str]] = (),
        below: Iterable[str | os.PathLike[str]] | None = None,
    ) -> None:
        self._index = lay.ImageIndex(folders)
        self._own = tuple(str(folder) + os.sep for folder in own)
        self._below = [str(folder) for folder in (folders if below is None else below)]
        self._files = None

    def by_stem(self, stem: str) -> Found:
        """The image `stem`.jpg, or of another ending, where its name says: a `Found`."""
        usable = stem.strip("./") and not lay.leaves(stem)
        paths = self._index.by_stem(stem) if usable else ()
        return Found(paths[0], exact=True) if len(paths) == 1 else Found(candidates=paths)

    def find(self, name: str) -> Found:
        """The image of a name, with its ending or without one: a `Found`."""
        if name.strip("./") and not lay.leaves(name):
            path = self._index.by_path(name)
            if path is not None:
                return Found(path, exact=True)
        if os.path.isabs(name) and is_image_name(os.path.basename(name)) and os.path.isfile(name):
            return Found(name, exact=True)
        return self._anywhere(name, stems=False) or (Found() if has_image_ending(name) else self.find_stem(name))

    def find_stem(self, stem: str) -> Found:
        """The image of a name without ending: a `Found`."""
        found = self.by_stem(stem)
        return found if found else self._anywhere(stem, stems=True) or Found()

    def _anywhere(self, name, stems):
        ways = _ways(name)
        for way in (*ways, *(without for way in ways if (without := _without_upload(way)) is not None)):
            found = self._by_tail(way, stems)
            if found:
                return found
        return None

    def path_of(
        self, name: str, record_name: str, place: tuple[Any, int], told: tuple[list[Problem], Any]
    ) -> str | None:
        """The path of the image of a name, or None; faults and what is assumed are reported.

        Args:
            name: what the annotation says.
            record_name: the name under which the image is known.
            place: (file, line) of the annotation.
            told: (list that takes `Problem`s, `Assumed`).
        """
        found = self.find(name)
        self.tell(found, name, record_name, place, told)
        return found.path

    @staticmethod
    def tell(
        found: Found, name: str, record_name: str, place: tuple[Any, int], told: tuple[list[Problem], Any]
    ) -> None:
        """The faults of what was found for a name, and what is assumed; arguments as `path_of` takes them."""
        problems, assumed = told
        if found.candidates:
            what = f"{name} may be {listed(found.candidates, 3)}"
            problems.append(Problem("missing image", str(place[0]), what, place[1], record_name, "left out"))
        elif found.path is None:
            problems.append(lay.missing_image(record_name, place[0], name, place[1]))
        elif not found.exact:
            assumed.add(BY_TAIL, *place, record_name, f"{name} is {found.path}")

    def _by_tail(self, way, stems):
        """The one image with the longest tail of a path: as it is written, and else without regard to case."""
        if self._files is None:
            self._files = self._listed()
        files = self._files[stems].get(way[-1].casefold())
        if not files:
            return Found()
        wanted = _folded(way)
        shared = [_shared(wanted, file.folded) for file in files]
        longest = max(shared)
        best = [file for file, count in zip(files, shared, strict=True) if count == longest]
        best = [file for file in best if _shared(way, file.parts) >= longest] or best
        best = [file for file in best if file.path.startswith(self._own)] or best
        paths = tuple({os.path.realpath(file.path): file.path for file in best}.values())
        return Found(paths[0]) if len(paths) == 1 else Found(candidates=paths)

    def _listed(self):
        """Images by their folded names, and by those without ending: two dictionaries of lists of `_File`."""
        paths = {}
        for folder in filter(os.path.isdir, self._below):
            with contextlib.suppress(ValueError):  # a home folder, say: too much lies below it
                paths |= {os.path.abspath(path): path for path in lay.files_below(folder, is_image_name)}
        files = {}, {}
        for path in paths.values():
            parts = _composed(path.split(os.sep))
            for known, last in zip(files, (parts[-1], lay.stem(parts[-1])), strict=True):
                way = (*parts[:-1], last)
                file = _File(path, way, _folded(way))
                known.setdefault(file.folded[-1], []).append(file)
        return files


def _ways(name):
    """The parts of a path in every reading of it, the plainest first, without what no file system has."""
    texts = [name]
    with contextlib.suppress(ValueError):  # what looks like a URL, and is none
        if _URL.match(name):
            texts = [urlsplit(name).path]
        if "?d=" in name:  # Label Studio's local files
            texts = [*parse_qs(urlsplit(name).query).get("d", ()), *texts]
    readings = dict.fromkeys(reading for text in texts for reading in (text, unquote(text)))
    ways = (_plain(reading) for reading in readings)
    return [way for way in dict.fromkeys(map(tuple, ways)) if way]


def _plain(text):
    way = []
    for part in _composed(_DRIVE.sub("", text, count=1).replace("\\", "/").split("/")):
        if part == "..":
            way[-1:] = []
        elif part not in ("", "."):
            way.append(part)
    return way


def _without_upload(way):
    name = _UPLOAD.sub("", way[-1], count=1)
    return None if name == way[-1] else (*way[:-1], name)


def _composed(parts):
    return [unicodedata.normalize("NFC", part) for part in parts]


def _folded(parts):
    return tuple(part.casefold() for part in parts)


def _shared(one, other):
    """How many parts two paths share at their ends."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
