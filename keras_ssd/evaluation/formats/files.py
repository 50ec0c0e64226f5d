"""Writes and reads detections in every format."""

import os
from pathlib import Path

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.formats import coco, ilsvrc, json_files, own_json, table, voc
from keras_ssd.evaluation.formats.rows import Strictness
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import files_nearby, listed, unknown_name
from keras_ssd.wording import python_or_shell

FORMATS = {module.NAME: module for module in (own_json, coco, voc, ilsvrc, table)}
WITH_IDS = ("coco", "ilsvrc")
_ENDINGS = {".json": "json", ".zip": "voc", ".txt": "ilsvrc", ".csv": "csv"}  # of a folder, there is none


@checked_arguments
def write_detections(
    found: DetectionTable, path: str | os.PathLike[str], format: str | None = None, *, dataset: Dataset | None = None
) -> Path:
    """Writes detections to a file; `read_detections` returns the same detections.

    Scores and coordinates are float32; they are written as the shortest decimals that read back as the same float32.
    Detections are read back image by image, best first, the order of `collect`.

    Args:
        found: `DetectionTable`.
        path: of the file; for "voc" a new folder, or a .zip as the evaluation server takes it.
        format: "json" (this package's, with the classes and the images without detections), "coco" (results), "voc"
            (comp4_det_test_CLASS.txt), "ilsvrc" (text) or "csv". None chooses by the ending: "json" for .json, "voc"
            for .zip and no ending, "ilsvrc" for .txt, "csv" for .csv.
        dataset: `keras_ssd.data.Dataset` of the images: "coco" and "ilsvrc" write its ids.

    Returns:
        The path. The file appears when it is complete.

    Raises:
        ValueError: a name that the format cannot store, an unknown format, a missing dataset, or a folder that is not
            empty.
        OSError: the file cannot be written.

    Example:
        >>> write_detections(result.found, "comp4.zip")
    """
    path = Path(path)
    format = check_target(path, format, found, dataset)
    FORMATS[format].write(found, path, dataset)
    return path


@checked_arguments
def read_detections(
    path: str | os.PathLike[str],
    dataset: Dataset,
    format: str | None = None,
    *,
    outside: str = "error",
    others: str = "error",
) -> DetectionTable:
    """Reads the detections of any detector.

    Args:
        path: file or folder, as `write_detections` or `keras-ssd detect` writes them.
        dataset: `keras_ssd.data.Dataset` of the images.
        format: as in `write_detections`; None detects it.
        outside: for boxes that leave their image by more than a pixel: "error" refuses the file, "clip" clips them as
            SSD does, "keep" keeps them as the tools of VOC and COCO do.
        others: "error" or "drop" for detections of images or classes that the dataset does not have.

    Returns:
        `DetectionTable`, its images in the order of the dataset. From json it has the images that the file names; the
        other formats do not distinguish images without detections from images not seen, so it has all.

    Raises:
        ValueError: an unknown image or class, a number that is not finite, a box outside, a truncated file; the message
            gives file and line.
        FileNotFoundError: there is no such file.

    Example:
        >>> found = read_detections("results.json", keras_ssd.data.read("coco", "val2017"))
    """
    path = Path(path)
    strictness = Strictness(outside, others)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path} to read detections from.{files_nearby(path)}")
    format = _known(format) if format is not None else _format_of(path)
    if path.is_dir() and format != "voc":
        raise ValueError(f"{path} is a folder. Expected a file of the format {format!r}.")
    return FORMATS[format].read(path, dataset, strictness)


def check_target(
    path: str | os.PathLike[str],
    format: str | None = None,
    found: DetectionTable | None = None,
    dataset: Dataset | None = None,
) -> str:
    """Checks that detections can be written, before any work is done; returns the format's name.

    Args:
        path, format, dataset: as in `write_detections`.
        found: `DetectionTable`, perhaps an empty one with the images and classes to come; or None.

    Raises:
        ValueError, OSError: as `write_detections`.
    """
    path = Path(path)
    if format is None:
        if path.suffix and path.suffix.lower() not in _ENDINGS:
            raise ValueError(
                f"The ending of {path} is not that of a format. Expected {listed(_ENDINGS)}, no ending (a folder of "
                f"VOC's files), or one of {', '.join(map(repr, FORMATS))} as the format."
            )
        format = _ENDINGS.get(path.suffix.lower(), "voc")
    _known(format)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} into.")
    folder = format == "voc" and path.suffix.lower() != ".zip"
    if path.exists() and (path.is_dir() and any(path.iterdir()) if folder else path.is_dir()):
        raise ValueError(f"{path} exists already. Name a new {'folder' if folder else 'file'}, or remove it first.")
    if folder and path.is_file():
        raise ValueError(f"{path} is a file, and VOC's detections need a folder, or a name that ends in .zip.")
    if format in WITH_IDS and dataset is None:
        raise ValueError(f"{format!r} writes the ids of images and classes. Pass dataset=..., which knows them.")
    if found is not None:
        _check_names(format, found, dataset)
    return format


def _check_names(format, found, dataset):
    if format == "voc":
        voc.check(found.class_names, found.images)
    if format in WITH_IDS:
        images, classes = {annotation.name for annotation in dataset}, set(dataset.classes)
        lost = [name for name in found.images if name not in images]
        lost += [name for place, name in enumerate(found.class_names) if name not in classes]
        if lost:
            raise ValueError(
                f"{format!r} needs ids, and {dataset.name} has none for {', '.join(map(repr, lost[:8]))}"
                f"{', ...' if len(lost) > 8 else ''}. Write json or csv, or leave these detections out."
            )


def _known(format):
    if format not in FORMATS:
        raise ValueError(unknown_name("format", format, FORMATS))
    return format


def _format_of(path):
    """The format of an existing file."""
    if path.is_dir() or path.suffix.lower() == ".zip" or (path.suffix.lower() == ".txt" and voc.class_of(path.name)):
        return "voc"
    if path.suffix.lower() == ".json":
        return json_files.kind(path)
    if path.suffix.lower() not in _ENDINGS:
        hint = python_or_shell(f"Pass format=..., one of {listed(FORMATS)}.", f"Expected {listed(_ENDINGS)}")
        raise ValueError(f"The ending of {path} is not that of a format. {hint}")
    return _ENDINGS[path.suffix.lower()]
