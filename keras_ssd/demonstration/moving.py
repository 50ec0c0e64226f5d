"""A blood smear whose cells drift: a video for a first try, with the truth of every frame."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_ssd.demonstration import smear
from keras_ssd.demonstration.smear import CLASSES, SIZE_HW, Smear, check_count
from keras_ssd.detections import Detections

FRAME_RATE = 25.0


def draw_moving_smear(
    frames: int, seed: int = 0, *, red_cells: int = 8, white_cells: int = 1, platelets: int = 2, speed: float = 3.0
) -> Iterator[Smear]:
    """Draws the frames of a video one by one; cells move straight on, cross each other, and turn at the edges.

    Args:
        frames: how many, at 25 per second.
        seed, red_cells, white_cells, platelets: as of `keras_ssd.demonstration.smear.draw_smear`.
        speed: pixels per frame, on average.

    Yields:
        `Smear`: the image, and `truth` with `track_ids`, `frame` and `time`.

    Example:
        >>> smears = list(draw_moving_smear(3, red_cells=2, platelets=0))
        >>> [smear.truth.track_ids.tolist() for smear in smears]
        [[1, 2, 3], [1, 2, 3], [1, 2, 3]]
    """
    check_count("frames", frames)
    rng = np.random.default_rng(seed)
    placed = []
    whites = smear._place(rng, white_cells, smear._WHITES, placed)
    reds = smear._place(rng, red_cells, smear._REDS, placed)
    clots = smear._place(rng, platelets, smear._CLOTS, placed)
    cells = [*whites, *reds, *clots]
    angles = rng.uniform(0, 2 * np.pi, len(cells))
    ways = speed * rng.uniform(0.4, 1.6, (len(cells), 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
    light = smear._light(rng)
    kinds = np.repeat([1, 0, 2], [white_cells, red_cells, platelets])
    for frame in range(frames):
        now = [_moved(cell, way * frame) for cell, way in zip(cells, ways, strict=True)]
        image = _drawn(now, kinds, light, seed, frame)
        boxes = np.array([cell.box_xyxy() for cell in now]).reshape(-1, 4)
        truth = Detections(
            boxes,
            np.ones(len(now)),
            kinds,
            CLASSES,
            SIZE_HW,
            "moving smear",
            image,
            track_ids=np.arange(1, len(now) + 1),
            frame=frame,
            time=frame / FRAME_RATE,
        )
        yield Smear(image, truth)


def _moved(cell, way):
    """The cell further on; it turns where its middle meets an edge."""
    sides = np.array(SIZE_HW[::-1], float)
    x, y = sides - np.abs(sides - (np.array([cell.x, cell.y]) + way) % (2 * sides))
    return dataclasses.replace(cell, x=float(x), y=float(y))


def _drawn(cells, kinds, light, seed, frame):
    layers, taken = np.zeros(SIZE_HW), np.zeros((*SIZE_HW, 3))
    add = {1: smear._add_white, 2: smear._add_platelet}
    for number, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
        if kind == 0:
            smear._add_red(np.random.default_rng((seed, number)), cell, layers)  # each looks the same in every frame
    taken += smear._RED * (smear._LAYERS * (1 - np.exp(-layers / smear._LAYERS)) * 1.35)[..., None]
    for number, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
        if kind:
            add[int(kind)](np.random.default_rng((seed, number)), cell, taken)
    grain = smear._soft(np.random.default_rng((seed, 10_000, frame)).normal(0, 5, (*SIZE_HW, 3)))
    return np.clip(np.rint(light * np.exp(-taken) + grain), 0, 255).astype(np.uint8)
