"""Sub-sampling by class name: kept classes keep their trained rows, new classes get initial ones."""

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_ssd.formats import NamedArrays
from keras_ssd.names import check_class_names, fold
from keras_ssd.zoo.classes import same_classes
from keras_ssd.zoo.shelf import shelf


@dataclass(frozen=True)
class SubsampleReport:
    """The classes that kept their trained rows; `str()` is a readable summary.

    Args:
        kept: (class, source class) pairs in the order of the new classes.
        initialised: new classes without trained rows.
        heads: the class heads that were sub-sampled.
        source_classes: the classes that the source was trained on.
    """

    kept: tuple[tuple[str, str], ...]
    initialised: tuple[str, ...]
    heads: tuple[str, ...]
    source_classes: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.kept) + len(self.initialised)
        shown = [name if name == source else f"{name} (trained as {source!r})" for name, source in self.kept]
        text = f"Classes: {len(self.kept)} of {total} keep their trained rows"
        text += ": " + ", ".join(shown) + "." if shown else "."
        if self.initialised:
            fresh = ", ".join(self._with_hint(name) for name in self.initialised)
            text += f" Newly initialised, to be trained: {fresh}."
        return text

    def _with_hint(self, name):
        # Only likely typing errors: a new class is legitimate, and "helmet" does not mean "elephant".
        folded = {fold(known): known for known in self.source_classes}
        close = difflib.get_close_matches(fold(name), folded, n=1, cutoff=0.8)
        return f"{name} (did you mean {folded[close[0]]!r}?)" if close else name


def subsample(
    arrays: NamedArrays,
    source_classes: Sequence[str],
    classes: Sequence[str],
    *,
    initial: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    heads: Any = None,
    background: int = 0,
) -> tuple[NamedArrays, SubsampleReport]:
    """Arrays of a detector for other classes, chosen by name.

    A class head's output channels are box-major with the class fastest, so keeping a class keeps one channel
    of each box. The kept channels compute the same as before. Localisation heads do not depend on classes and
    stay.

    Names are matched exactly, else without regard to case, spaces and underscores, else by the synonym tables in
    `zoo/maps/` ("aeroplane" is "airplane"); the report says which name the rows came from.

    Args:
        arrays: `NamedArrays` of a detector trained on `source_classes`.
        source_classes: its classes in order, without background.
        classes: the wanted classes in order, without background.
        initial: {head: {"kernel": (kh, kw, in, boxes * (C + 1)), "bias": (boxes * (C + 1),)}}: the source of the rows
            of new classes, usually the newly initialised target model. Needed only if a class is new.
        heads: names of the class heads; all of `class_heads(arrays)` by default.
        background: channel index of the background within one box: 0 in softmax heads, the number of `source_classes`
            if it is last, or -1 if the heads have none.

    Returns:
        (`NamedArrays`, `SubsampleReport`).

    Raises:
        ValueError: a list is empty or names a class twice, the heads do not have `source_classes` classes, or
            a class is new and `initial` is missing or of another shape.

    Example:
        >>> arrays, report = subsample(read("coco.h5"), COCO, ["dog", "person"])
    """
    source_classes = check_class_names("source_classes", source_classes)
    classes = check_class_names("classes", classes)
    origin = match_classes(source_classes, classes)
    heads = tuple(class_heads(arrays) if heads is None else heads)
    if not heads:
        raise ValueError(f"{arrays.source} has no class heads, such as fc7_mbox_conf or classes4.")
    if isinstance(background, bool):  # the former meaning: whether there is a background, in the first channel
        background = 0 if background else -1
    old, old_background = _class_channels(len(source_classes), background)
    new, new_background = _class_channels(len(classes), background)
    rows = [(new_background, old_background)] if background >= 0 else []
    rows += [(new[i], None if at is None else old[at]) for i, at in enumerate(origin)]
    counts = len(old) + (background >= 0), len(new) + (background >= 0)
    layers = dict(arrays.layers)
    for head in heads:
        layers[head] = _subsample_head(arrays, head, rows, counts, (initial or {}).get(head))
    report = SubsampleReport(
        kept=tuple((name, source_classes[at]) for name, at in zip(classes, origin, strict=True) if at is not None),
        initialised=tuple(name for name, at in zip(classes, origin, strict=True) if at is None),
        heads=heads,
        source_classes=source_classes,
    )
    return replace(arrays, layers=layers, class_names=classes), report


def match_classes(source_classes: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """For each class its index in `source_classes`, or None: by exact name, folded name, then synonym.

    Raises:
        ValueError: two classes would get the rows of the same source class.
    """
    exact = {name: i for i, name in enumerate(source_classes)}
    folded = _unambiguous((fold(name), i) for i, name in enumerate(source_classes))
    synonym = _unambiguous((_synonym(name), i) for i, name in enumerate(source_classes))
    found, owner = [], {}
    for name in classes:
        at = exact.get(name, folded.get(fold(name), synonym.get(_synonym(name))))
        if at is not None and at in owner:
            raise ValueError(
                f"classes {owner[at]!r} and {name!r} are both the trained class {source_classes[at]!r}; name it once."
            )
        owner[at] = name
        found.append(at)
    return found


def class_heads(arrays: NamedArrays) -> dict[str, str]:
    """{class head: localisation head} of a detector's arrays (`*_mbox_conf`, or `classesN` of SSD7)."""
    found = {}
    for layer in arrays.layers:
        if layer.endswith("_mbox_conf"):
            found[layer] = layer.removesuffix("conf") + "loc"
        elif layer.startswith("classes") and layer[len("classes") :].isdigit():
            found[layer] = "boxes" + layer[len("classes") :]
    return found


@functools.cache
def _synonyms():
    """{folded name: folded name of the same class elsewhere}, from the shelf's maps between label sets."""
    found = {}
    for path in sorted((shelf() / "maps").glob("*_to_*.toml")):
        for name, other in same_classes(*path.stem.split("_to_")).items():
            found[fold(name)] = fold(other)
    return found


def _synonym(name):
    return _synonyms().get(fold(name), fold(name))


def _unambiguous(pairs):
    """A dict of the keys that occur once."""
    found, doubled = {}, set()
    for key, value in pairs:
        if key in found:
            doubled.add(key)
        found[key] = value
    return {key: value for key, value in found.items() if key not in doubled}


def _class_channels(num_classes, background):
    """The channels of a box's classes in order, and the channel of its background: first, last, or None."""
    if background < 0:
        return list(range(num_classes)), None
    if background == 0:
        return list(range(1, num_classes + 1)), 0
    return list(range(num_classes)), num_classes


def _subsample_head(arrays, head, rows, counts, initial):
    """{weight: array} with channels regrouped; rows are (new class channel, old class channel or None)."""
    old_count, new_count = counts
    fresh = [new for new, old in rows if old is None]
    if head not in arrays:
        raise ValueError(f"{arrays.source} has no class head {head!r}.")
    weights = {}
    for weight, array in arrays[head].items():
        if array.shape[-1] % old_count:
            raise ValueError(
                f"{arrays.source}: {head}/{weight} of shape {array.shape} cannot be {old_count} channels per box "
                f"({old_count - 1} classes and background); source_classes must be the classes it was trained on."
            )
        boxes = array.shape[-1] // old_count
        split = array.reshape(*array.shape[:-1], boxes, old_count)
        result = np.empty((*split.shape[:-1], new_count), array.dtype)
        for new, old in rows:
            if old is not None:
                result[..., new] = split[..., old]
        if fresh:
            start = _initial_rows(head, weight, initial, result)
            result[..., fresh] = start[..., fresh]
        weights[weight] = result.reshape(*array.shape[:-1], boxes * new_count)
    return weights


def _initial_rows(head, weight, initial, result):
    wanted = (*result.shape[:-2], result.shape[-2] * result.shape[-1])
    given = None if initial is None else initial.get(weight)
    if given is None or tuple(given.shape) != wanted:
        came = "nothing" if given is None else tuple(given.shape)
        raise ValueError(
            f"New classes need initial values for {head}/{weight} of shape {wanted}, from a model built for the "
            f"new classes. Received: {came}"
        )
    return np.asarray(given).reshape(result.shape)
