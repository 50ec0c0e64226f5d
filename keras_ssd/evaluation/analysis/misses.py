"""Which objects are missed: by size, shape, truncation, crowding, and whether an anchor could match them."""

import dataclasses

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorSpec
from keras_ssd.evaluation.analysis.overlaps import overlaps
from keras_ssd.evaluation.analysis.sizes import SIZES
from keras_ssd.evaluation.tables import ObjectTable
from keras_ssd.matching import MatchRules
from keras_ssd.matching.arrays import AnchorOverlaps, match

_EDGE = 2  # pixels: an object that ends nearer to the image's edge counts as cut off


@dataclasses.dataclass(frozen=True)
class Group:
    """Objects with a common property.

    Args:
        name: of the property, such as "small (area below 32²)".
        short: the same in a word or two, for sentences.
        objects: number of objects.
        missed: number of objects that no accepted detection finds.
        never: number of objects that no detection of any score finds.
    """

    name: str
    short: str
    objects: int
    missed: int
    never: int


@dataclasses.dataclass(frozen=True)
class Split:
    """All objects that count, grouped by one property.

    Args:
        name: of the property, such as "size".
        groups: the `Group`s with objects, in the property's order.
        unknown: number of objects without a known property.
    """

    name: str
    groups: tuple[Group, ...]
    unknown: int = 0

    @property
    def missed(self) -> int:
        """Number of missed objects in all groups."""
        return sum(group.missed for group in self.groups)


# (name, short name) of the groups.
_SIZE = (("small: area below 32²", "small"), ("medium: 32² to 96²", "medium-sized"), ("large: 96² and more", "large"))
_SHARE = (  # of the root of the image's area
    ("below 5 % of the image's side", "tiny in the image"),
    ("5 to 10 %", "small in the image"),
    ("10 to 20 %", "medium-sized in the image"),
    ("20 to 40 %", "large in the image"),
    ("40 % and more", "very large in the image"),
)
_RATIO = (
    ("very tall: width below 1/3 of height", "very tall"),
    ("tall: 1/3 to 2/3", "tall"),
    ("about square: 2/3 to 3/2", "about square"),
    ("wide: 3/2 to 3", "wide"),
    ("very wide: width above 3 times height", "very wide"),
)
_CUT = (
    ("whole, inside the image", "whole"),
    ("touching the image's edge", "at the image's edge"),
    ("marked as truncated", "truncated"),
)
_CROWD = (
    ("touching no other object", "apart from others"),
    ("overlap below 0.1", "slightly overlapped"),
    ("overlap 0.1 to 0.3", "overlapped by another (IoU 0.1 to 0.3)"),
    ("overlap 0.3 to 0.5", "overlapped by another (IoU 0.3 to 0.5)"),
    ("overlap 0.5 and more", "overlapped by another (IoU above 0.5)"),
)
_ANCHOR = (
    ("no anchor matches it", "matched by no anchor"),
    ("one anchor at most, IoU below 0.3", "badly covered by anchors (IoU below 0.3)"),
    ("one anchor, IoU 0.3 to 0.5", "badly covered by anchors (IoU below 0.5)"),
    ("best anchor's IoU 0.5 to 0.7", "fairly covered by anchors"),
    ("best anchor's IoU above 0.7", "well covered by anchors"),
)


def split_misses(
    truth: ObjectTable,
    counted: np.ndarray,
    accepted: np.ndarray,
    ever: np.ndarray,
    anchors: AnchorSpec | None = None,
    plus_one: bool = False,
) -> tuple[Split, ...]:
    """Tuple of `Split`s; a property that is unknown for these objects is left out.

    Args:
        truth: `ObjectTable`.
        counted, accepted, ever: (M,) bool: objects that count; found by an accepted detection; found by any.
        anchors: `AnchorSpec` of the model, or None.
        plus_one: whether a pixel is added to boxes.
    """
    properties = {
        "size in pixels": (_SIZE, _by_size(truth)),
        "size in the image": (_SHARE, _by_share(truth)),
        "aspect ratio": (_RATIO, _by_ratio(truth)),
        "truncation": (_CUT, _by_truncation(truth)),
        "crowding": (_CROWD, _by_crowding(truth, plus_one)),
    }
    if anchors is not None:
        properties["anchors"] = (_ANCHOR, _by_anchor(truth, anchors))
    splits = []
    for name, (groups, places) in properties.items():
        columns = [
            np.bincount(places[rows & (places >= 0)], minlength=len(groups)).tolist()
            for rows in (counted, counted & ~accepted, counted & ~ever)
        ]
        made = tuple(Group(*texts, *numbers) for texts, *numbers in zip(groups, *columns, strict=True) if numbers[0])
        if made:
            splits.append(Split(name, made, int((counted & (places < 0)).sum())))
    return tuple(splits)


def _by_size(truth):
    return np.digitize(truth.areas, [low for low, _ in SIZES.values()][1:])


def _by_share(truth):
    """By the root of the share of the image that a box covers."""
    areas = np.prod(truth.sizes_hw.astype(float), axis=1)[truth.image]
    known = areas > 0
    side = np.sqrt(bx.area(truth.boxes_xyxy) / np.where(known, areas, 1))
    return np.where(known, np.digitize(side, [0.05, 0.1, 0.2, 0.4]), -1)


def _by_ratio(truth):
    width, height = (truth.boxes_xyxy[:, i + 2] - truth.boxes_xyxy[:, i] for i in (0, 1))
    ratio = width / np.maximum(height, 1e-6)
    return np.digitize(ratio, [1 / 3, 2 / 3, 3 / 2, 3])


def _by_truncation(truth):
    limits = truth.sizes_hw[truth.image][:, ::-1]
    ends = (truth.boxes_xyxy[:, 2:] > limits - _EDGE).any(axis=1) & (limits > 0).all(axis=1)
    edge = ends | (truth.boxes_xyxy[:, :2] < _EDGE).any(axis=1)
    return np.where(truth.truncated, 2, edge.astype(int))


def _by_crowding(truth, plus_one):
    """By the highest IoU with another object of the image, of any class; crowd regions are not objects."""
    objects = np.flatnonzero(~truth.crowd)
    pairs = overlaps(truth[objects], truth[objects], plus_one)
    most, _ = pairs[pairs.rows != pairs.others].best(len(objects))
    places = np.full(len(truth), -1)
    places[objects] = np.where(most > 0, np.digitize(most, [0.1, 0.3, 0.5]) + 1, 0)
    return places


def _by_anchor(truth, anchors):
    """By the result of matching in training: whether an anchor is matched to the object, and the best IoU."""
    rules = MatchRules()
    known = AnchorOverlaps(anchors.anchors_xyxy(), rules, anchors.levels)
    places = np.full(len(truth), -1)
    order = np.argsort(truth.image, kind="stable")
    bounds = np.searchsorted(truth.image[order], np.arange(len(truth.images) + 1))
    for image, (height, width) in enumerate(truth.sizes_hw.tolist()):
        rows = order[bounds[image] : bounds[image + 1]]
        if not len(rows) or not height * width:
            continue
        matches = match(truth.boxes_xyxy[rows] / np.array([width, height] * 2, np.float32), known, rules)
        fit = np.digitize(matches.best_iou, [0.3, 0.5, 0.7]) + 1
        places[rows] = np.where(matches.counts > 0, fit, 0)
    return places
