"""The image files that are to be labelled, and what they are called."""

import collections
import dataclasses
import os
from typing import Any

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.image_files import file_digest
from keras_ssd.images import expand_sources, is_url


@dataclasses.dataclass(frozen=True)
class Unlabelled:
    """Image files without annotations.

    Args:
        names: {path: name}: a path below the folder that holds all of them, without ending.
        known: how many were left out because they are labelled.
    """

    names: dict[str, str]
    known: int

    @property
    def paths(self) -> list[str]:
        """The paths in their order."""
        return [*self.names]


def without_labelled(sources: Any, recursive: bool, labelled: Dataset | None) -> Unlabelled:
    """The files that the sources name, each once, without those of a dataset and copies of them.

    Raises:
        ValueError: something is no file: pre-annotations belong to files.
        ImageError: a folder holds no image, or a pattern matches none.
    """
    paths = {}
    for source in expand_sources(sources, recursive):
        if source.in_memory or is_url(source.image):
            raise ValueError(f"Pre-annotations belong to image files. Save this image first. Received: {source.name}")
        paths.setdefault(os.path.realpath(source.image), os.fspath(source.image))
    files = [*paths.values()]
    left = files if labelled is None else _unknown(files, labelled)
    return Unlabelled(dict(zip(left, _names(left), strict=True)), len(files) - len(left))


def _unknown(files, labelled):
    """The files whose bytes are those of no image of a dataset."""
    known = {file_digest(each.image) for each in labelled if isinstance(each.image, str)}
    return [file for file in files if not (os.path.isfile(file) and file_digest(file) in known)]


def _names(files):
    """A name for each file: its path below the folder of all, without ending where that is enough."""
    if not files:
        return []
    root = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    paths = [os.path.relpath(os.path.abspath(file), root).replace(os.sep, "/") for file in files]
    stems = collections.Counter(os.path.splitext(path)[0].casefold() for path in paths)
    return [path if stems[(stem := os.path.splitext(path)[0]).casefold()] > 1 else stem for path in paths]
