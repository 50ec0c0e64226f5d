"""From what readers found to a dataset: classes, image sizes, boxes, names, each checked, and the policy applied."""

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.image_files import image_size
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.records import BoxFormat, Record
from keras_ssd.images import ImageError
from keras_ssd.names import fold, unknown_name

ROUNDING = 0.02  # pixels by which decimals in files miss the edge of an image
EDGE = 1.0  # pixels by which tools miss it that count pixels differently
_FAR = 1e9  # larger coordinates are clipped, so that they fit float32


def class_names(given: Iterable[str] | None, contents: Sequence[Any]) -> tuple[tuple[str, ...], tuple[Any, ...] | None]:
    """(tuple of names, tuple of the source's ids or None) of the classes of all `Contents`, or the given names.

    "background" is not a class: a label with this name is a fault.
    """
    labels = {label for part in contents for record in part.records for label in record.labels}
    listed = [name for part in contents for name in part.classes or ()]
    if given is None and not all(part.classes for part in contents if part.records):
        listed += sorted(labels)
    names = tuple(given) if given is not None else tuple(dict.fromkeys(listed))
    names = tuple(name for name in names if given is not None or fold(name) != "background")
    ids = {}
    for part in contents:
        ids |= dict(zip(part.classes or (), part.category_ids or (), strict=False))
    return names, tuple(ids[name] for name in names) if names and all(name in ids for name in names) else None


def add_sizes(records: Sequence[Record], problems: list[Problem], progress: bool = False) -> list[Record]:
    """Adds sizes that the files do not state, from the images, and returns the records that have a size now.

    Images that cannot be read are left out.
    """
    unknown = [record for record in records if record.size_hw is None]
    with worked_ahead(_size, unknown, "reading image sizes", progress) as sizes:
        for record, future in sizes:
            try:
                record.size_hw = future.result()
            except ImageError as error:
                what = f"image {record.image} cannot be read: {error.reason}"
                problems.append(Problem("broken image", record.source, what, 0, record.name, "left out"))
    return [record for record in records if record.size_hw is not None]


def _size(record):
    return image_size(record.image)


def in_fractions(records: Iterable[Record], boxes: BoxFormat) -> bool:
    """Whether boxes that should be in pixels are fractions of their images, as in COCO files of Azure's tools."""
    if boxes.fractions:
        return False
    raw = np.array([row for record in records for row in record.raw], np.float64)
    return bool(raw.size and raw.min() >= 0 and raw.max() <= 1 and (raw != np.rint(raw)).any())


def annotations_of(
    records: Iterable[Record],
    boxes: BoxFormat,
    classes: Iterable[str],
    policy: str,
    problems: list[Problem],
    *,
    keep_incomplete: bool = False,
) -> list[Annotation]:
    """Checks records with sizes and returns their `Annotation`s.

    An image that lost an object is left out, since training would treat that object as background; `keep_incomplete`
    keeps it. Of a box without area, only the box is left out, unless its image would then have none. The policy "clip"
    repairs what it can; others leave faulty objects out.
    """
    places = {name: place for place, name in enumerate(classes)}
    found = []
    for record in records:
        annotation, lost = _annotation(record, boxes, places, policy, problems)
        if lost and policy != "error":
            every = len(record.labels) + record.lost
            objects = f"{lost} of the {every} objects of {record.name}"
            what = f"{objects} are faulty, and training would take them for background"
            problems.append(Problem("incomplete", record.source, what, 0, record.name, "image left out"))
        if not lost or keep_incomplete:
            found.append(annotation)
    return found


def _annotation(record, boxes, places, policy, problems):
    ids = np.array([places.get(label, -1) for label in record.labels], np.int64)
    rows = _Rows(record, boxes, problems)
    for row in np.flatnonzero(ids < 0):
        rows.report("label", row, _no_class(record.labels[row], places), "left out")
    corners, keep, flat = _checked(rows, policy)
    keep &= ids >= 0
    gone = ~keep if not keep.any() else ~keep & ~flat
    lost = record.lost + int(gone.sum())
    every = {
        "boxes_xyxy": corners,
        "class_ids": ids,
        "difficult": np.array(record.difficult, bool),
        "truncated": np.array(record.truncated, bool),
        "crowd": np.array(record.crowd, bool),
        "lines": np.array(record.lines, np.int64),
    }
    if record.areas is not None:
        every["areas"] = np.clip(record.areas, -(_FAR**2), _FAR**2).astype(np.float32)
    kept = every if keep.all() else {name: column[keep] for name, column in every.items()}
    _note_repeated(rows, np.flatnonzero(keep), kept)
    where = {"size_hw": record.size_hw, "source": record.source, "image_id": record.image_id}
    return Annotation(record.name, record.image, **kept, **where), lost


def _no_class(label, places):
    if fold(str(label)) == "background":
        return f"{label!r} is not a class: every model has it. Rename it, or remove its objects"
    return unknown_name("class", label, places)


@dataclasses.dataclass
class _Rows:
    """The objects of a record, and how problems with them are reported."""

    record: Record
    boxes: BoxFormat
    problems: list

    def __post_init__(self) -> None:
        self.raw = np.array(self.record.raw, np.float64).reshape(-1, 4)

    def report(self, kind, row, what, done=""):
        record = self.record
        text = f"object {row} ({record.labels[row]}): {what}"
        self.problems.append(Problem(kind, record.source, text, record.lines[row], record.name, done))

    def report_box(self, kind, rows, what, done=""):
        for row in np.flatnonzero(rows):
            self.report(kind, row, f"{what}: {self.boxes.told(self.raw[row])}", done)


def _checked(rows, policy):
    """Corners (M, 4) float32 within the image, which of them are good, and which have no area."""
    mend = policy == "clip"
    size_hw = rows.record.size_hw
    corners = np.clip(rows.boxes.to_pixels(rows.raw, size_hw), -_FAR, _FAR).astype(np.float32)
    sides = corners[:, 2:] - corners[:, :2]
    flat = (sides == 0).any(axis=1)
    swapped = (sides < 0).any(axis=1)
    beyond = np.abs(corners - bx.clip(corners, size_hw)).max(axis=1, initial=0)
    if not (flat.any() or swapped.any() or beyond.any()):
        return corners, np.ones(len(corners), bool), flat
    rows.report_box("no area", flat, "it has no area", "left out")
    rows.report_box("swapped", swapped & ~flat, "its corners are swapped", "mended" if mend else "left out")
    corners = np.hstack([np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])])
    inside = bx.clip(corners, size_hw)
    told = flat if mend else flat | swapped  # one fault per box is enough
    gone = (bx.area(inside) <= 0) & ~told
    image = f"the image of {size_hw[1]} x {size_hw[0]} pixels"
    outside = (beyond > EDGE) & ~told & ~gone
    rows.report_box("outside", gone, f"it lies outside {image}", "left out")
    rows.report_box("outside", outside, f"it leaves {image}", "clipped" if mend else "left out")
    rows.report_box("edge", (beyond > ROUNDING) & (beyond <= EDGE) & ~told & ~gone, f"it leaves {image}", "clipped")
    bad = flat | gone | (np.zeros_like(flat) if mend else swapped | outside)
    return inside, ~bad, flat


def _note_repeated(rows, places, kept):
    if len(places) < 2:
        return
    seen = {}
    for place, box, class_id in zip(places, kept["boxes_xyxy"].tolist(), kept["class_ids"].tolist(), strict=True):
        key = (class_id, *box)
        if key in seen:
            rows.report(
                "duplicate object", place, f"it is object {seen[key]} once more: {rows.boxes.told(rows.raw[place])}"
            )
        seen.setdefault(key, place)


def with_unique_names(parts: Mapping[str, Iterable[Annotation]], problems: list[Problem]) -> list[Annotation]:
    """Gives the annotations of several splits, {split: annotations}, different names; returns a list of all.

    An image that is in two splits is kept once. Images of a split whose names differ only in their endings keep the
    endings; images of different splits get their split's name as a prefix. Of images that still share a name within a
    split, the second is left out.
    """
    parts = {split: _with_endings(annotations, problems) for split, annotations in parts.items()}
    homes = collections.defaultdict(list)
    for split, annotations in parts.items():
        for annotation in annotations:
            homes[annotation.name].append((split, annotation.image))
    kept, seen = [], {}
    for split, annotations in parts.items():
        for annotation in annotations:
            if len(homes[annotation.name]) > 1:
                annotation = _told_apart(annotation, split, homes, (seen, problems))
            if annotation is not None:
                kept.append(annotation)
    return kept


def _with_endings(annotations, problems):
    """The annotations of a split, those of one name whose files differ by ending with it: a.jpg and a.png."""
    same = collections.defaultdict(list)
    for annotation in annotations:
        same[annotation.name].append(annotation)
    doubled = {name: found for name, found in same.items() if len(found) > 1}
    names = {}
    for name, found in doubled.items():
        endings = {id(annotation): os.path.splitext(str(annotation.image))[1] for annotation in found}
        if len(set(endings.values())) == len(found) and not any(name + ending in same for ending in endings.values()):
            names |= {key: name + ending for key, ending in endings.items()}
            files = " and ".join(os.path.basename(str(annotation.image)) for annotation in found)
            what = f"{files} differ by ending alone, which their names keep"
            problems.append(Problem("assumed", found[0].source or "", what, 0, name))
    return [dataclasses.replace(a, name=names[id(a)]) if id(a) in names else a for a in annotations]


def _told_apart(annotation, split, homes, book):
    """The annotation with a unique name, or None if it is a repetition."""
    seen, problems = book
    known = homes[annotation.name]
    if len({image for _, image in known}) > 1 and len({home for home, _ in known}) == len(known):
        return dataclasses.replace(annotation, name=f"{split}/{annotation.name}")
    first = seen.setdefault(annotation.name, annotation)
    if first is annotation:
        return annotation
    source = annotation.source or ""
    if first.image == annotation.image and len({home for home, _ in known}) > 1:
        what = f"image {annotation.image} is in several splits"
        problems.append(Problem("duplicate image", source, what, 0, annotation.name, "taken once"))
    else:
        what = f"the name {annotation.name} stands for {first.image} and for {annotation.image}"
        problems.append(Problem("duplicate id", source, what, 0, annotation.name, "left out"))
    return None
