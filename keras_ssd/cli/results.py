"""What `keras-ssd detect --out` writes, one class per format. A file has its name only when it is whole."""

import contextlib
import csv
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from keras_ssd.replacing import replacing

if TYPE_CHECKING:
    from keras_ssd.detections import Detections
    from keras_ssd.images import Source

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # those that a drawing keeps
CSV_COLUMNS = ("source", "width", "height", "class", "score", "xmin", "ymin", "xmax", "ymax")


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """Makes the output folder and tries it, before any work is done.

    Raises:
        OSError: nothing can be written there.
    """
    folder = Path(folder)
    probe = folder / f".keras-ssd-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror or error
        raise OSError(f"cannot write to the output folder {folder}: {reason}. Choose another with --out.") from None
    return folder


class TextFile:
    """A text file that gets its name when it is finished."""

    def __init__(self, path: Path) -> None:
        self._stack = contextlib.ExitStack()
        temporary = self._stack.enter_context(replacing(path))
        file = open(temporary, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._file = self._stack.enter_context(file)

    def finish(self) -> None:
        self._stack.close()

    def discard(self) -> None:
        """Closes and removes the temporary file."""
        with contextlib.suppress(_Discarded), self._stack:
            raise _Discarded


class _TextResults(TextFile):
    """A text file in the output folder."""

    name: str = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / self.name)


class JsonResults(_TextResults):
    """`detections.json`: a list of the results of `Detections.to_dict`, one image per line."""

    name = "detections.json"
    _separator = "[\n"

    def add(self, found: "Detections") -> None:
        self._file.write(self._separator + found.to_json(ensure_ascii=False))
        self._separator = ",\n"

    def finish(self) -> None:
        self._file.write("\n]\n")
        super().finish()


class CsvResults(_TextResults):
    """`detections.csv`: a header, then one line per object, boxes in pixels."""

    name = "detections.csv"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows = csv.writer(self._file)
        self._rows.writerow(CSV_COLUMNS)

    def add(self, found: "Detections") -> None:
        height, width = found.size_hw
        for row in found.to_dict()["detections"]:
            self._rows.writerow([found.source, width, height, row["name"], row["score"], *row["box_xyxy"]])


class ImageResults:
    """The images with boxes drawn on them, under the names that they have in their folder."""

    def __init__(self, folder: str | os.PathLike[str], sources: "Iterable[Source]") -> None:
        self._targets: dict[Any, list[Path]] = image_targets(folder, sources)

    def add(self, found: "Detections") -> None:
        target = self._targets[found.source].pop(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        from keras_ssd.images import write_image

        write_image(found.draw(), target)

    def finish(self) -> None:
        pass

    def discard(self) -> None:
        pass


def image_targets(folder: str | os.PathLike[str], sources: "Iterable[Source]") -> dict[str, list[Path]]:
    """Where each drawn image goes.

    Never onto one of the inputs, never out of the folder, and no two onto one path: "_2" and so on are
    appended.

    Args:
        folder: the output folder.
        sources: list of `keras_ssd.images.Source`.

    Returns:
        A dictionary from a source's name to the list of paths for the images of that name, in order.
    """
    folder = Path(folder)
    taken = {os.path.realpath(source.image) for source in sources if not source.in_memory}
    targets = {}
    for source in sources:
        wanted = folder / _safe_relative(source.relative or source.name)
        target, count = wanted, 1
        while os.path.realpath(target) in taken:
            count += 1
            target = wanted.with_name(f"{wanted.stem}_{count}{wanted.suffix}")
        taken.add(os.path.realpath(target))
        targets.setdefault(source.name, []).append(target)
    return targets


def _safe_relative(name):
    """A relative path without steps upward, with an ending that an image can be saved under."""
    parts = [part for part in PurePosixPath(name.replace(os.sep, "/")).parts if part not in ("/", "..", ".")]
    path = Path(*parts) if parts else Path("image")
    return path if path.suffix.lower() in IMAGE_ENDINGS else path.with_name(path.name + ".png")


class _Discarded(Exception):
    """Ends the blocks of a file that is not to be kept."""
