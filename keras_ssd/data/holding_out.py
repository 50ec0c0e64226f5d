"""Images held out for validation: a share of a dataset, with copies of one image never on both sides."""

import dataclasses
import re
from collections import Counter

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.image_files import look
from keras_ssd.data.progress import worked_ahead
from keras_ssd.images import read_image

SHARE, LEAST = 0.15, 10
ALIKE = 3  # of 64 bits: largest Hamming distance between perceptual hashes of the same image
MOST_LOOKS = 5_000  # images that are compared with each other
# Endings that tools add to the names of several copies of an image: Roboflow's, and those of copies by hand.
_COPY = re.compile(
    r"(\.rf\.[0-9a-f]{6,}|[ _-]*\(\d+\)|[ _-]+(copy|kopie|aug|flip|rot|crop|orig)[a-z]*[ _-]*\d*)$", re.I
)
_FRAME = re.compile(r"^(?P<film>.*?)[ _.-]*(frame|frm)[ _.-]*\d+$", re.I)
LARGEST = 0.34  # share of all images that a group of frames may have; larger groups leave too little to choose from


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A dataset cut in two.

    Args:
        training, validation: `Dataset`s.
        why: how the images were kept together, in words.
    """

    training: Dataset
    validation: Dataset
    why: str


def hold_out(
    dataset: Dataset, share: float = SHARE, least: int = LEAST, seed: int = 0, progress: bool = False
) -> HeldOut:
    """Cuts off images for validation, the same ones each time.

    Images stay together whose names say that they are copies of one (`a.rf.0f3c…`, `a (2)`, `a_copy`, `a_aug3`) or
    frames of one film (`gate_frame_0012`), and those that look alike: otherwise the network would be measured on images
    that it has seen in training.

    Args:
        dataset: `Dataset`.
        share: of the images, that are held out.
        least: so many at least, as long as no more than half are.
        seed: of the choice.
        progress: whether to show a bar on a terminal.

    Raises:
        ValueError: too few images, or all are copies of one.
    """
    if len(dataset) < 2:
        raise ValueError(f"{dataset.name} has {len(dataset)} images; at least 2 are needed to hold one out.")
    names, why = _groups_by_name(dataset)
    groups, alike = _joined(names, _looks(dataset, progress))
    wanted = min(max(round(share * len(dataset)), least), len(dataset) // 2)
    held = _chosen(dataset, groups, wanted, seed)
    if held.all() or not held.any():
        raise ValueError(
            f"The {len(dataset)} images of {dataset.name} are all copies or frames of one, so none can be held out. "
            "Name a validation set, or train without one."
        )
    parts = [why] if why else []
    parts += [f"{alike} that look alike"] if alike else []
    why = f"kept together: {' and '.join(parts)}" if parts else "no copies of one image among them"
    validation = dataclasses.replace(dataset[held], name=f"{dataset.name}, held out")
    return HeldOut(dataset[~held], validation, why)


def _groups_by_name(dataset):
    """(a key for each image, what was seen in the names)."""
    stems = [_stem(annotation.name) for annotation in dataset]
    copies = len(stems) - len(set(stems))
    films = [found["film"] if (found := _FRAME.match(stem)) else stem for stem in stems]
    largest = Counter(films).most_common(1)[0][1]
    if len(set(films)) < len(set(stems)) and largest <= LARGEST * len(stems):
        return films, "frames of one film"
    return stems, f"{copies} copies by their names" if copies else ""


def _stem(name):
    """The name without what copies have behind it."""
    before = ""
    while before != name:
        before, name = name, _COPY.sub("", name)
    return name or before


def _looks(dataset, progress):
    """(N,) uint64 looks, and (N,) bool whether there is one: images that cannot be read have none here."""
    looks, known = np.zeros(len(dataset), np.uint64), np.zeros(len(dataset), bool)
    if len(dataset) > MOST_LOOKS:
        return looks, known
    with worked_ahead(_look, [*dataset], "comparing images", progress) as views:
        for place, (_, future) in enumerate(views):
            seen = None if future.exception() else future.result()
            if seen is not None:
                looks[place], known[place] = seen, True
    return looks, known


def _look(annotation):
    return look(read_image(annotation.image, name=annotation.name if not isinstance(annotation.image, str) else None))


def _joined(names, looks):
    """((N,) a number for each group, how many images look like another one of another name)."""
    values, known = looks
    _, groups = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    alike = set()
    for place in np.flatnonzero(known):
        bits = np.bitwise_xor(values[place + 1 :], values[place])
        near = np.flatnonzero(known[place + 1 :] & (_ones(bits) <= ALIKE)) + place + 1
        for other in near:
            if groups[other] != groups[place]:
                alike |= {int(place), int(other)}
                groups[groups == groups[other]] = groups[place]
    return groups, len(alike)


def _ones(values):
    return np.unpackbits(values[:, None].view(np.uint8), axis=1).sum(axis=1)


def _chosen(dataset, groups, wanted, seed):
    """(N,) bool: whole groups in random order as long as they fit, those with objects first."""
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    sizes = {group: np.count_nonzero(groups == group) for group in order}
    counted = np.array([bool((~(a.difficult | a.crowd)).any()) for a in dataset])
    useful = {group: counted[groups == group].any() for group in order}
    held, filled = np.zeros(len(dataset), bool), 0
    for group in sorted(order, key=lambda one: not useful[one]):  # stable: random within both
        if filled + sizes[group] <= wanted and filled + sizes[group] < len(dataset):
            held |= groups == group
            filled += sizes[group]
    if not held.any():  # every group is larger
        held = groups == min(order, key=lambda one: (not useful[one], sizes[one]))
    return held
