"""Selects the misses and false alarms to show, and embeds small cuttings of their images."""

import base64
import dataclasses
import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ssd.evaluation import analysis as an
from keras_ssd.evaluation.report.report_text import WORDS
from keras_ssd.images import read_image

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result

LIMIT = 24  # images of a gallery
FINDS = 12  # images of the gallery of true detections
CHANGES = 12  # images of a gallery of differences between two detectors
PER_IMAGE = 3
_SIDE = 320  # most pixels of a cutting's side
_QUALITY = 78
_BOXES = 40  # most boxes in one cutting


@dataclasses.dataclass(frozen=True)
class Shown:
    """A part of an image with boxes.

    Args:
        title, note: captions, a line each.
        image: the image's name.
        alt: text alternative.
        source: data URI of the JPEG.
        width, height: of the JPEG in pixels.
        boxes: (kind, x, y, width, height) in these pixels; kinds are "truth" and "found", with "faint" before it for
            other boxes in view.
    """

    title: str
    note: str
    image: str
    alt: str
    source: str
    width: int
    height: int
    boxes: tuple[tuple[Any, ...], ...]


def worst_misses(result: "Result", analysis: an.Analysis, limit: int = LIMIT) -> list[int]:
    """Rows of objects that no accepted detection finds: the largest of each class in turn."""
    return _in_turn(result.truth, _missed(analysis), limit, (-result.truth.areas,))


def only_first_finds(result: "Result", first: an.Analysis, other: an.Analysis, limit: int = CHANGES) -> list[int]:
    """Rows of objects that the first analysis has found and the other has not, the largest of each class in turn."""
    return _in_turn(result.truth, first.found & _missed(other), limit, (-result.truth.areas,))


def worst_alarms(result: "Result", analysis: an.Analysis, limit: int = LIMIT) -> list[int]:
    """Rows of false accepted detections, highest scores first."""
    rows = np.flatnonzero(analysis.accepted & (analysis.kinds < len(an.ERRORS)))
    rows = rows[np.argsort(-result.found.scores[rows], kind="stable")]
    return _spread(rows, result.found.image, limit)


def best_finds(result: "Result", analysis: an.Analysis, limit: int = FINDS) -> list[int]:
    """Rows of true accepted detections: the highest score of each class in turn, one per image."""
    mask = analysis.accepted & (analysis.kinds == an.FOUND)
    return _in_turn(result.found, mask, limit, (-analysis.ious, -result.found.scores), 1)


def _missed(analysis):
    return (analysis.fates != an.UNCOUNTED) & ~analysis.found


def _in_turn(table, mask, limit, keys, each=PER_IMAGE):
    """Rows of the mask: the largest of each class, then the second of each, and so on."""
    rows = np.flatnonzero(mask)
    rows = rows[np.lexsort([key[rows] for key in (*keys, table.class_ids)])]
    ids = table.class_ids[rows]
    turn = np.arange(len(rows)) - np.searchsorted(ids, ids)
    return _spread(rows[np.argsort(turn, kind="stable")], table.image, limit, each)


def _spread(rows, image, limit, each=PER_IMAGE):
    """The first rows, at most `each` per image."""
    seen, kept = {}, []
    for row in rows.tolist():
        name = int(image[row])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= each:
            kept.append(row)
        if len(kept) == limit:
            break
    return kept


class Images:
    """Cuts parts out of the images of the results' dataset; each image is read once."""

    def __init__(self, results: "Iterable[Result]") -> None:
        dataset = next((one.dataset for one in results if one.dataset is not None), None)
        self.there: bool = dataset is not None
        self._annotations = {one.name: one for one in dataset or ()}
        self._last = (None, None)
        self.failed: int = 0

    def gallery(
        self, rows: Iterable[int], describe: Callable[..., Any], result: "Result", analysis: an.Analysis
    ) -> list[Shown]:
        """`Shown` for each row; images that cannot be read are left out and counted in `failed`.

        Args:
            rows: of objects or detections.
            describe: function of (row, result, analysis) that returns `_Subject`.
            result, analysis: of the rows.
        """
        subjects = [(place, describe(row, result, analysis)) for place, row in enumerate(rows)]
        shown = []
        for place, subject in sorted(subjects, key=lambda one: one[1].image):  # all cuttings of an image together
            pixels = self._read(result.truth.images[subject.image])
            if pixels is None:
                self.failed += 1
            else:
                shown.append((place, _cut(pixels, subject, result, analysis)))
        return [one for _, one in sorted(shown, key=lambda pair: pair[0])]

    def _read(self, name):
        if self._last[0] != name:
            try:
                pixels = read_image(self._annotations[name].image, name=name)
            except (KeyError, OSError, ValueError):
                pixels = None
            self._last = (name, pixels)
        return self._last[1]


@dataclasses.dataclass(frozen=True)
class _Subject:
    """The subject of one image of a gallery: an object and a detection (-1 for none)."""

    image: int
    object: int
    detection: int
    title: str
    note: str


def of_miss(row: int, result: "Result", analysis: an.Analysis) -> _Subject:
    """The `_Subject` of a missed object."""
    found, truth = result.found, result.truth
    finder = int(analysis.finders[row])
    fate = analysis.fates[row]
    note = "nothing near it at any score"
    if finder >= 0:
        name, score = found.class_names[found.class_ids[finder]], found.scores[finder]
        accepted = "" if analysis.accepted[finder] else f", below the threshold {_threshold(analysis, name)}"
        note = {
            an.FOUND: f"found at {score:.2f}{accepted}",
            an.CLASSIFICATION: f"taken for {name} at {score:.2f}{accepted}",
            an.LOCALISATION: f"box too loose, IoU {analysis.ious[finder]:.2f}, at {score:.2f}{accepted}",
        }[int(fate)]
    title = f"{truth.class_names[truth.class_ids[row]]} missed"
    return _Subject(int(truth.image[row]), int(row), finder, title, note)


def of_alarm(row: int, result: "Result", analysis: an.Analysis) -> _Subject:
    """The `_Subject` of a false detection."""
    found, truth = result.found, result.truth
    kind, partner = int(analysis.kinds[row]), int(analysis.partners[row])
    name = found.class_names[found.class_ids[row]]
    real = truth.class_names[truth.class_ids[partner]] if partner >= 0 else ""
    iou = f"IoU {analysis.ious[row]:.2f}"
    note = {
        an.CLASSIFICATION: f"truly {real}",
        an.LOCALISATION: f"{WORDS['localisation'].title}, {iou}",
        an.BOTH: f"{iou} with {real}",
        an.DUPLICATE: f"{WORDS['duplicate'].title} on the same {real}",
        an.BACKGROUND: "nothing labelled there",
    }[kind]
    return _Subject(int(found.image[row]), partner, int(row), f"{name} {found.scores[row]:.2f}", note)


def of_find(row: int, result: "Result", analysis: an.Analysis) -> _Subject:
    """The `_Subject` of a true detection."""
    found = result.found
    title = f"{found.class_names[found.class_ids[row]]} {found.scores[row]:.2f}"
    note = f"found, IoU {analysis.ious[row]:.2f}"
    return _Subject(int(found.image[row]), int(analysis.partners[row]), int(row), title, note)


def _threshold(analysis, name):
    return f"{analysis.working_points[name].threshold:.2f}"


def _cut(pixels, subject, result, analysis):
    truth, found = result.truth, result.found
    height, width = pixels.shape[:2]
    stated = truth.sizes_hw[subject.image]
    factor = np.array([width, height] * 2) / (np.array([*stated[::-1]] * 2) if stated.all() else [width, height] * 2)
    main = []
    if subject.object >= 0:
        main.append(("truth", truth.boxes_xyxy[subject.object] * factor))
    if subject.detection >= 0:
        main.append(("found", found.boxes_xyxy[subject.detection] * factor))
    others = [
        *_others("faint truth", truth, subject.image, np.ones(len(truth), bool), subject.object),
        *_others("faint found", found, subject.image, analysis.accepted, subject.detection),
    ]
    low, high = _window(np.array([box for _, box in main]), (width, height))
    part = pixels[low[1] : high[1], low[0] : high[0]]
    scale = min(1.0, _SIDE / max(part.shape[:2]))
    size = max(1, round(part.shape[0] * scale)), max(1, round(part.shape[1] * scale))
    drawn = [*((kind, box * factor) for kind, box in others), *main]
    boxes = [(kind, (box - [*low, *low]) * scale) for kind, box in drawn]
    boxes = [(kind, box) for kind, box in boxes if (box[2:] > 0).all() and (box[:2] < size[::-1]).all()]
    name = truth.images[subject.image]
    return Shown(
        subject.title,
        subject.note,
        name,
        f"Part of {name}: {subject.title}, {subject.note}",
        _data_uri(part, size, scale),
        size[1],
        size[0],
        tuple((kind, *_xywh(box)) for kind, box in boxes[-_BOXES:]),
    )


def _others(kind, table, image, mask, but):
    rows = np.flatnonzero((table.image == image) & mask)
    return [(kind, table.boxes_xyxy[row]) for row in rows.tolist() if row != but]


def _window(boxes, size_wh):
    """Corners in whole pixels of the part to show: the boxes with a margin."""
    size = np.array(size_wh)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = max(2.2 * (high - low).max(), 0.3 * size.min(), 48)
    side = np.minimum(side, size)
    corner = np.clip((low + high) / 2 - side / 2, 0, size - side)
    first = np.floor(corner).astype(int)
    return first, np.maximum(np.ceil(corner + side).astype(int), first + 1)


def _xywh(box):
    low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])  # SVG draws no negative side
    return tuple(round(float(value), 1) for value in (*low, *(high - low)))


def _data_uri(part, size, scale):
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(part))
    if scale < 1:
        image = image.resize(size[::-1], Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
