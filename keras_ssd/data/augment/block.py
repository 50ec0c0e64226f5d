"""Blocks, and how they are put together."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_ssd.data.augment.labels import Labels
from keras_ssd.data.augment.rendering import render
from keras_ssd.data.augment.steps import Opaque, Step, Track
from keras_ssd.data.sample import Sample

Others = Callable[[np.random.Generator], Sample]  # gives another sample, drawn with the generator


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for one sample: the same for the same three numbers, whoever works in whatever order.

    Args:
        seed: of the run, 0 or above.
        epoch: 0 or above.
        index: of the sample in its dataset, 0 or above.
    """
    return np.random.default_rng((seed, epoch, index))


@dataclasses.dataclass(frozen=True)
class Block:
    """One kind of change, made at random. A block holds ranges and probabilities, and no state.

    `block(sample, rng)` gives a changed sample. Behind it are two parts: `draw` decides from the labels alone, and
    gives steps; `render` applies them to pixels. A kind of block overrides `steps`. One that must see the pixels
    to know what happens to the boxes, or that needs more images than one, is `opaque` and overrides `apply`.

    Args:
        probability: 0..1 that the block does anything.
    """

    probability: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"A probability must be in 0..1. Received: probability={self.probability}")

    @property
    def opaque(self) -> bool:
        """Whether boxes cannot be computed without pixels."""
        return False

    @property
    def partners(self) -> int:
        """How many further samples it may ask for."""
        return 0

    def happens(self, rng: np.random.Generator) -> bool:
        """Whether the block does anything this time; a probability of 1 draws no random number."""
        return self.probability >= 1 or rng.random() < self.probability

    def draw(self, labels: Labels, rng: np.random.Generator) -> tuple[Sequence[Step], Labels]:
        """Decides what to do to an image with these labels.

        Returns:
            (steps, labels after them).
        """
        steps = self.steps(labels, rng) if self.happens(rng) else ()
        for step in steps:
            labels = step.labels(labels)
        return steps, labels

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        """The steps, once it is clear that something happens."""
        raise NotImplementedError

    def trace(self, sample: Sample, rng: np.random.Generator, others: Others | None = None) -> tuple[Sample, Track]:
        """Like a call, and says what was done.

        Args:
            sample: `Sample`.
            rng: `numpy.random.Generator`; `sample_rng` makes one.
            others: for blocks that mix images: a function of a generator that gives another sample, drawn with it.

        Returns:
            (sample, `Track`): the track takes boxes of the result back to the image that went in.
        """
        if self.opaque:
            if not self.happens(rng):
                return sample, Track()
            return self.apply(sample, rng, others)
        steps, labels = self.draw(Labels.of(sample), rng)
        return labels.put_into(sample, render(sample.image, steps)), Track(tuple(steps))

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        """What an opaque block does: (sample, track)."""
        raise NotImplementedError

    def __call__(self, sample: Sample, rng: np.random.Generator, others: Others | None = None) -> Sample:
        return self.trace(sample, rng, others)[0]


@dataclasses.dataclass(frozen=True)
class Function(Block):
    """A function of (sample, rng) that gives a sample, as a block; nothing can be taken back through it."""

    function: Callable[..., Any]

    @property
    def opaque(self) -> bool:
        return True

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return self.function(sample, rng), Track((Opaque(name),))


def _as_block(block):
    if isinstance(block, Block):
        return block
    if callable(block) and not isinstance(block, type):
        return Function(block)
    raise TypeError(
        f"A chain holds blocks, and functions of (sample, rng) that give a sample. Received: {block!r}"
        + (" (the class; make one of it first)" if isinstance(block, type) else "")
    )


@dataclasses.dataclass(frozen=True)
class Chain(Block):
    """Blocks one after another; itself a block.

    Args:
        blocks: `Block`s, or functions of (sample, rng) that give a sample.

    Raises:
        TypeError: something else is among the blocks.

    Example:
        >>> chain = Chain([Brightness(-32, 32, probability=0.5), Flip(probability=0.5), Resize((300, 300))])
        >>> chain(sample, sample_rng(seed=0, epoch=0, index=7)).image.shape
        (300, 300, 3)
    """

    blocks: Sequence[Block]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "blocks", tuple(_as_block(block) for block in self.blocks))

    @property
    def opaque(self) -> bool:
        return any(block.opaque for block in self.blocks)

    @property
    def partners(self) -> int:
        return sum(block.partners for block in self.blocks)

    def draw(self, labels: Labels, rng: np.random.Generator) -> tuple[Sequence[Step], Labels]:
        steps = []
        for block in self.blocks if self.happens(rng) else ():
            more, labels = block.draw(labels, rng)
            steps.extend(more)
        return steps, labels

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        track = []
        for opaque, blocks in itertools.groupby(self.blocks, key=lambda block: block.opaque):
            for block in blocks if opaque else [Chain(tuple(blocks))]:
                sample, part = block.trace(sample, rng, others)
                track.extend(part.steps)
        return sample, Track(tuple(track))


@dataclasses.dataclass(frozen=True)
class OneOf(Block):
    """One of several blocks, drawn anew for each sample.

    Args:
        blocks: as in a `Chain`.
        weights: how often each is drawn, relative to each other; None: equally often.
    """

    blocks: Sequence[Block]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "blocks", tuple(_as_block(block) for block in self.blocks))
        weights = np.ones(len(self.blocks)) if self.weights is None else np.asarray(self.weights, float)
        if weights.shape != (len(self.blocks),) or not (weights >= 0).all() or not weights.sum() > 0:
            raise ValueError(
                "OneOf takes at least one block and a weight for each: numbers from 0, not all of them 0. "
                f"Received: {len(self.blocks)} blocks, weights={self.weights}"
            )
        object.__setattr__(self, "weights", tuple((weights / weights.sum()).tolist()))

    @property
    def opaque(self) -> bool:
        return any(block.opaque for block in self.blocks)

    @property
    def partners(self) -> int:
        return max(block.partners for block in self.blocks)

    def pick(self, rng: np.random.Generator) -> Block:
        """The block that is drawn."""
        limits = np.cumsum(np.asarray(self.weights))
        return self.blocks[min(int(np.searchsorted(limits, rng.random(), "right")), len(self.blocks) - 1)]

    def draw(self, labels: Labels, rng: np.random.Generator) -> tuple[Sequence[Step], Labels]:
        return self.pick(rng).draw(labels, rng) if self.happens(rng) else ((), labels)

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        return self.pick(rng).trace(sample, rng, others)
