"""What `keras-ssd detect` writes of a video, one class per format. A file has its name only when it is whole."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.cli.results import TextFile

if TYPE_CHECKING:
    from keras_ssd.detections import Detections
    from keras_ssd.video import Video

ENDINGS = {"video": ".mp4", "gif": ".gif", "jsonl": ".jsonl", "mot": ".txt"}


def video_targets(folder: Path, source: str, formats: Sequence[str], taken: set[str]) -> dict[str, Path]:
    """{format: path} of the files of one video: of one stem, never an input, and none twice.

    Args:
        folder: the output folder.
        source: as it was given.
        taken: real paths that are not to be used; grows.
    """
    last = re.split(r"[/\\]", source.rstrip("/\\").partition("?")[0])[-1]
    stem = re.sub(r"[^\w.-]+", "_", last).strip("._") or "video"
    stem = stem if Path(source).is_dir() or "://" in source else os.path.splitext(stem)[0] or stem
    name, count = stem, 1
    while True:
        targets = {form: folder / (name + ENDINGS[form]) for form in formats}
        real = {os.path.realpath(path) for path in targets.values()}
        if not real & taken:
            taken |= real
            return targets
        count += 1
        name = f"{stem}_{count}"


class DrawnVideo:
    """An .mp4 or .gif file of the drawn frames."""

    def __init__(self, path: Path, video: "Video") -> None:
        from keras_ssd.video import VideoWriter

        self._writer: VideoWriter = VideoWriter(
            path, frame_rate=video.frame_rate, audio=video.audio, origin=video.origin
        )

    def add(self, found: "Detections", drawn: Any, counts: dict[str, Any]) -> None:
        self._writer.write(drawn, found.time or 0.0)

    def finish(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.discard()


class JsonLines(TextFile):
    """A line of JSON per frame, as `Detections.to_dict` makes it, with the counts of lines and zones."""

    def add(self, found: "Detections", drawn: Any, counts: dict[str, Any]) -> None:
        self._file.write(json.dumps({**found.to_dict(), **counts}, ensure_ascii=False) + "\n")


class MotLines(TextFile):
    """MOTChallenge's text: a line per tracked object and frame."""

    def add(self, found: "Detections", drawn: Any, counts: dict[str, Any]) -> None:
        from keras_ssd.tracking.mot import mot_lines

        self._file.writelines(mot_lines(found, found.frame or 0))


RESULTS = {"video": DrawnVideo, "gif": DrawnVideo, "jsonl": JsonLines, "mot": MotLines}


def made(form: str, path: Path, video: "Video") -> Any:
    """The result of a format."""
    return RESULTS[form](path, video) if form in ("video", "gif") else RESULTS[form](path)
