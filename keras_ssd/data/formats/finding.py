"""Finds the image that an annotation names, also by a path of another machine.

Labelling tools write the names of the machine on which they ran: with backslashes, a drive or a home folder, as a URL
with percent escapes, in another Unicode form or another case. The image is the one that matches the longest end of such
a path, if there is only one.
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
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # the prefix of Label Studio for uploads


@dataclasses.dataclass(frozen=True)
class Found:
    """The result of a search.

    Args:
        path: of the image, None if there is none or several match.
        exact: whether it is where the name says.
        candidates: paths of the images that match, if there are several.
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
    """Finds images by their names in annotations.

    Args:
        folders: where names are looked up unchanged, the likeliest first.
        own: those of them that belong to the split being read: of several matches, the one in them is taken.
        below: folders that are searched with all folders below them if a name is not found; by default `folders`.
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
        """The image `stem` with the ending .jpg or another one: a `Found`."""
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
        """The path of the image with this name, or None; problems and assumptions are reported.

        `place` is the (file, line) of the annotation, `told` (list of `Problem`s, `Assumed`), `record_name` the name of
        the image in the dataset.
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
        """The only image with the longest end of a path: with its case, then without."""
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
            with contextlib.suppress(ValueError):  # a home folder, for example: too many files
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
