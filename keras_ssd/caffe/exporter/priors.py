"""An `AnchorLevel` as the settings of a PriorBox layer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.exporters.model_graph import ExportError

CLOSE = 2e-6  # relative; float32 is exact to 6e-8, and a size passes through two roots


@dataclass(frozen=True)
class PriorBox:
    """The settings of a PriorBox layer.

    Args:
        settings: fields of prior_box_param.
        order: its box j is the level's box `order[j]`.
        fractions: sizes that Caffe would truncate to whole pixels.
    """

    settings: dict[str, Any]
    order: tuple[int, ...]
    fractions: tuple[float, ...]


@dataclass(frozen=True)
class _Guess:
    min_sizes: tuple
    max_sizes: tuple
    ratios: tuple
    flip: bool

    @property
    def fractions(self):
        return tuple(size for size in (*self.min_sizes, *self.max_sizes) if size != int(size))


def prior_box(spec: AnchorSpec, index: int, input_size: Sequence[int]) -> PriorBox:
    """The `PriorBox` of one level, for images of `input_size` (height, width).

    Raises:
        ExportError: no PriorBox layer makes these boxes.
    """
    level, found = spec.levels[index], []
    if level.shifts_hw or (spec.clip and any(other.shifts_hw for other in spec.levels)):
        return PriorBox(_dense(spec, index, input_size), tuple(range(level.boxes_per_cell)), ())
    for guess in _guesses(level.boxes_hw):
        order = _order(level, guess)
        if order is not None:
            found.append((bool(guess.fractions), order != tuple(range(len(order))), not guess.flip, guess, order))
    if not found:
        boxes = ", ".join(f"{h:g}x{w:g}" for h, w in level.boxes_hw)
        raise ExportError(
            f"No PriorBox layer of Caffe makes the anchors of level {index} (grid {level.grid_hw}): boxes "
            f"(height x width) {boxes}. A PriorBox makes a square for each min size, one larger square for each of "
            "them or for none, and the same aspect ratios for each."
        )
    if level.offset_hw[0] != level.offset_hw[1]:
        raise ExportError(
            f"PriorBox has one offset for height and width. Received: offset_hw={level.offset_hw} at level {index}"
        )
    *_, guess, order = min(found, key=lambda entry: entry[:3])
    settings = {"min_size": list(guess.min_sizes)}
    settings |= {"max_size": list(guess.max_sizes)} if guess.max_sizes else {}
    settings |= {"aspect_ratio": list(guess.ratios)} if guess.ratios else {}
    settings |= {"flip": guess.flip, "clip": spec.clip, "variance": list(spec.variances)}
    if spec.image_size != tuple(input_size):
        settings |= {"img_h": spec.image_size[0], "img_w": spec.image_size[1]}
    settings |= _step(spec.image_size, level)
    settings["offset"] = level.offset_hw[0]
    return PriorBox(settings, order, guess.fractions)


def _dense(spec, index, input_size):
    """The settings of a fork's PriorBox with several centres per cell, whose boxes are clipped to the image."""
    level = spec.levels[index]
    shifts = level.shifts_hw or ((0.0, 0.0),) * level.boxes_per_cell
    sizes, densities, ratios, start = [], [], [], 0
    while start < level.boxes_per_cell:
        box = level.boxes_hw[start]
        same = [place for place, other in enumerate(level.boxes_hw) if other == box and place >= start]
        places = next((n for n in range(len(same)) if same[n] != start + n), len(same))
        # Two ratios or sizes in a row may have the same shape; each starts a new run of places.
        again = [n for n in range(1, places) if shifts[start + n] == shifts[start]]
        places = again[0] if again else places
        density = round(places**0.5)
        size = _shortest(np.sqrt(box[0] * box[1]))
        if not sizes or abs(sizes[-1] / size - 1) > CLOSE or densities[-1] != density or box[0] == box[1]:
            sizes.append(size)
            densities.append(density)
            ratios.append([])
        ratios[-1].append(_ratio(size, *box))
        start += places
    for name, tiling in (("density", "size"), ("density_size", "step")):
        listed = tuple(ratios[0])
        try:
            made = AnchorLevel.density_prior_box(
                spec.image_size, level.grid_hw, sizes, densities, listed,
                step=level.step_hw, offset=level.offset_hw, tiling=tiling,
            )  # fmt: skip
        except ValueError:
            continue
        if spec.clip and _alike(made, level) and level.offset_hw[0] == level.offset_hw[1]:
            settings = {"fixed_size": sizes, name: densities}
            settings |= {"fixed_ratio": list(listed)} if tiling == "step" or listed != (1.0,) else {}
            settings |= {"clip": spec.clip, "variance": list(spec.variances)}
            if spec.image_size != tuple(input_size):
                settings |= {"img_h": spec.image_size[0], "img_w": spec.image_size[1]}
            return settings | _step(spec.image_size, level) | {"offset": level.offset_hw[0]}
    raise ExportError(
        f"No PriorBox layer makes the anchors of level {index} (grid {level.grid_hw}): they have several centres per "
        "cell. Forks of Caffe make only densified ones, which form a square around the centre and are clipped to the "
        "image."
    )


def _alike(made, level):
    zeros = ((0.0, 0.0),) * level.boxes_per_cell
    return (
        made.boxes_per_cell == level.boxes_per_cell
        and np.allclose(made.boxes_hw, level.boxes_hw, rtol=CLOSE, atol=0)
        and np.allclose(made.shifts_hw or zeros, level.shifts_hw or zeros, rtol=0, atol=1e-4)
    )


def _step(image_size, level):
    """The fields of the step; none for image size / grid, PriorBox's default."""
    step, whole = level.step_hw, all(value == int(value) for value in level.step_hw)
    if not whole and step == tuple(i / g for i, g in zip(image_size, level.grid_hw, strict=True)):
        return {}
    return {"step": step[0]} if step[0] == step[1] else {"step_h": step[0], "step_w": step[1]}


def _order(level, guess):
    """The level's box for each box of the guess, or None if the boxes differ."""
    try:
        made = AnchorLevel.prior_box(
            (1, 1),
            level.grid_hw,
            guess.min_sizes,
            guess.max_sizes,
            guess.ratios,
            flip=guess.flip,
            step=1,
            truncate_sizes=False,
        )
    except ValueError:  # a max size below its min size
        return None
    free, order = list(range(level.boxes_per_cell)), []
    if made.boxes_per_cell != level.boxes_per_cell:
        return None
    for box in made.boxes_hw:
        fitting = [i for i in free if np.allclose(level.boxes_hw[i], box, rtol=CLOSE, atol=0)]
        if not fitting:
            return None
        order.append(fitting[0])
        free.remove(fitting[0])
    return tuple(order)


def _guesses(boxes_hw):
    """Settings that may produce these boxes."""
    squares = [h for h, w in boxes_hw if abs(h / w - 1) < CLOSE]
    others = [(h, w) for h, w in boxes_hw if abs(h / w - 1) >= CLOSE]
    mins, ratios = _groups(others, squares)
    if mins is None:
        return
    rest = list(squares)
    for size in mins:
        rest.remove(size)
    pairings = [(tuple(mins), tuple(rest))] if rest else [(tuple(mins), ())]
    if rest and len(rest) == len(mins):
        pairings.append((tuple(sorted(mins)), tuple(sorted(rest))))
    if not others:
        half = len(squares) // 2
        pairings = [(tuple(squares), ())]
        if half * 2 == len(squares):
            pairings += [(tuple(squares[::2]), tuple(squares[1::2]))]
            pairings += [(tuple(sorted(squares)[:half]), tuple(sorted(squares)[half:]))]
    for small, large in pairings:
        if large and len(large) != len(small):
            continue
        sizes = tuple(_shortest(size) for size in small)
        second = tuple(_max_size(*pair) for pair in zip(sizes, large, strict=True)) if large else ()
        for listed, flip in _ratio_lists(ratios):
            yield _Guess(sizes, second, listed, flip)


def _groups(others, squares):
    """The square of each group of other boxes, and the ratios of a group; (None, ()) if the groups differ."""
    groups = {}
    for h, w in others:
        size = min(squares, key=lambda side: abs(side / np.sqrt(h * w) - 1), default=None)
        if size is None or abs(size / np.sqrt(h * w) - 1) > CLOSE:
            return None, ()
        groups.setdefault(size, []).append((h, w))
    mins, ratios = [], None
    for size, boxes in groups.items():
        found = [_ratio(size, *box) for box in boxes]
        times = set(Counter(found).values())
        distinct = list(dict.fromkeys(found))
        if len(times) != 1 or (ratios is not None and sorted(distinct) != sorted(ratios)):
            return None, ()
        ratios = distinct if ratios is None else ratios
        repeats = times.pop()
        if squares.count(size) < repeats:
            return None, ()
        mins += [size] * repeats
    return mins, tuple(ratios or ())


def _ratio(size, h, w):
    """width / height as the author probably wrote it: the shortest number that gives the same float32 box."""
    raw, f = w / h, np.float32
    plain = [round(raw, digits) for digits in range(1, 7)]
    plain += [1 / round(1 / raw, digits) for digits in range(1, 7) if round(1 / raw, digits)]
    for ratio in [*plain, raw]:
        if ratio > 0:
            root = np.sqrt(f(ratio))
            if f(size) / root == f(h) and f(size) * root == f(w):
                return ratio
    return next((ratio for ratio in plain if abs(ratio / raw - 1) < CLOSE), raw)


def _ratio_lists(ratios):
    """(aspect_ratio, flip); with flip, only one ratio of each pair is given."""
    pairs, left = [], list(ratios)
    while left:
        ratio = left.pop(0)
        inverse = next((other for other in left if abs(ratio * other - 1) < CLOSE), None)
        if inverse is None:
            break
        left.remove(inverse)
        pairs.append(ratio)
    else:
        yield tuple(pairs), True
    if ratios:
        yield tuple(ratios), False


def _shortest(size):
    """The size with as few digits as float32 needs."""
    return float(str(np.float32(size)))


def _max_size(small, side):
    """The max size that gives a square of this side together with the min size."""
    raw = side * side / small
    for digits in range(7):
        size = round(raw, digits)
        if np.sqrt(np.float32(small) * np.float32(size)) == np.float32(side):
            return float(size)
    return raw
