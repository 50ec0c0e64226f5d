"""Text files of MOTChallenge: a line per box with frame, track, xmin, ymin, width, height, score and more.

Frames and tracks count from 1 there. Lines of results have ten columns, whose last three are -1; lines of annotations
have nine: after the box whether it counts, its class from 1, and how much of it can be seen.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections
from keras_ssd.replacing import replacing
from keras_ssd.text_files import MAX_TEXT, TextError, decoded

_COLUMNS = (7, 8, 9, 10)


@checked_arguments
def write_mot(detections: Iterable[Detections], path: str | os.PathLike[str]) -> None:
    """Writes tracked detections as MOTChallenge's evaluation takes them; objects without a track are left out.

    Args:
        detections: `Detections` with `track_ids` of one frame each. The frame's number is taken from them, or counted
            where they have none.
        path: of the file; it is replaced when the new one is complete.

    Raises:
        ValueError: detections have no tracks.
    """
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        for place, found in enumerate(detections):
            file.writelines(mot_lines(found, place))


def mot_lines(found: Detections, place: int) -> Iterator[str]:
    """The lines of one frame, by track.

    Args:
        found: `Detections` with `track_ids`.
        place: number of the frame, from 0, if they do not have one.
    """
    if found.track_ids is None:
        raise ValueError("MOTChallenge's files need track_ids. Take the Detections of model.track(...).")
    frame = (place if found.frame is None else found.frame) + 1
    for row in np.argsort(found.track_ids, kind="stable"):
        if found.track_ids[row] > 0:
            xmin, ymin, xmax, ymax = (float(value) for value in found.boxes_xyxy[row])
            box = ",".join(_short(value) for value in (xmin, ymin, xmax - xmin, ymax - ymin))
            yield f"{frame},{found.track_ids[row]},{box},{_short(float(found.scores[row]))},-1,-1,-1\n"


@checked_arguments
def read_mot(
    path: str | os.PathLike[str],
    *,
    size_hw: Sequence[int] = (1080, 1920),
    class_names: Sequence[str] = ("object",),
    annotations: bool = False,
    classes: Sequence[int] | None = None,
) -> list[Detections]:
    """Reads a file of MOTChallenge: detections (det.txt), tracks, or annotations (gt.txt).

    Args:
        path: of the file.
        size_hw: of the video's frames, which the file does not tell.
        class_names: names of the classes, which a file numbers from 1. With a single name all objects have it.
        annotations: whether the file is one of annotations: boxes that are marked as not counting are left out, and
            scores are 1. In other files the seventh column is the score.
        classes: of annotations: the classes, from 1, to keep; the others are left out. MOTChallenge measures
            pedestrians, class 1. None keeps all.

    Returns:
        List of `Detections`, one for each frame up to the last one in the file, with `frame` from 0. Boxes whose track
        is -1, as in det.txt, belong to no track.

    Raises:
        ValueError: a line is not in the format; the text names file and line.
    """
    rows = [*_rows(Path(path))]
    frames = max((frame for frame, *_ in rows), default=0)
    collected: list[list] = [[] for _ in range(frames)]
    for frame, track, box, marked, kind, number in rows:
        if annotations and (not marked or (classes is not None and kind not in classes)):
            continue
        if len(class_names) > 1 and not 1 <= kind <= len(class_names):
            raise ValueError(
                f"{path}, line {number}: the class must lie in 1..{len(class_names)}, the places in class_names. "
                f"Received: {kind}"
            )
        collected[frame - 1].append(
            (box, 1.0 if annotations else marked, kind - 1 if len(class_names) > 1 else 0, track)
        )
    return [
        Detections(
            np.array([row[0] for row in found], float).reshape(-1, 4),
            np.array([row[1] for row in found], float),
            np.array([row[2] for row in found], int),
            tuple(class_names),
            (size_hw[0], size_hw[1]),
            os.fspath(path),
            track_ids=np.array([row[3] for row in found], int),
            frame=frame,
        )
        for frame, found in enumerate(collected)
    ]


def _rows(path):
    """(frame from 1, track, box, seventh column, class, line number) of each line."""
    data = path.read_bytes()
    if len(data) > MAX_TEXT:
        raise ValueError(f"{path}: the file is larger than {MAX_TEXT} bytes.")
    try:
        text = decoded(data)
    except TextError as error:
        raise ValueError(f"{path}: {error}") from None
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        values = _numbers(path, number, line)
        frame, track = int(values[0]), int(values[1])
        if frame < 1 or frame > 10_000_000 or frame != values[0] or track != values[1]:
            raise ValueError(
                f"{path}, line {number}: frame and track must be whole numbers, and frames count from 1. "
                f"Received: {line.strip()!r}"
            )
        if track > 0 and (frame, track) in seen:
            raise ValueError(f"{path}, line {number}: track {track} has a second box in frame {frame}.")
        seen.add((frame, track))
        left, top, width, height = values[2:6]
        kind = int(values[7]) if len(values) in (8, 9) else 1
        yield frame, track, (left, top, left + width, top + height), values[6], kind, number


def _numbers(path, number, line):
    parts = line.split(",") if "," in line else line.split()
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) not in _COLUMNS or not all(map(math.isfinite, values)):
        raise ValueError(
            f"{path}, line {number}: expected frame, track, xmin, ymin, width, height, score and up to three more "
            f"numbers, with commas between them. Received: {line.strip()!r}"
        )
    if values[4] < 0 or values[5] < 0:
        raise ValueError(f"{path}, line {number}: width and height must not be negative. Received: {line.strip()!r}")
    return values


def _short(value):
    """A float32 number in few digits, without a trailing .0."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4f}".rstrip("0").rstrip(".")
