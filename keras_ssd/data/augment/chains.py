"""Chains with names: the original SSD's, those of ssd_keras, and light ones for few images."""

from collections.abc import Callable

from keras_ssd.data.augment.batch_sampler import BatchSampler
from keras_ssd.data.augment.block import Block, Chain, OneOf
from keras_ssd.data.augment.color import Brightness, Contrast, distortion
from keras_ssd.data.augment.geometry import DropSmall, Flip, QuarterTurns, Resize, Translate, Zoom
from keras_ssd.data.augment.interpolation import INTERPOLATIONS
from keras_ssd.data.augment.mixing import MixUp, Mosaic
from keras_ssd.data.augment.patches import MEAN_RGB, Expand, RandomPatch
from keras_ssd.names import unknown_name


def ssd(size_hw: tuple[int, int]) -> list[Block]:
    """The chain of the original SSD: distort, expand, crop, resize by any interpolation, mirror.

    Order, ranges and probabilities are those of Caffe's annotated_data_layer.cpp and ssd_pascal.py.
    """
    return [
        distortion(),
        Expand(4.0, MEAN_RGB, probability=0.5),
        BatchSampler(),
        Resize(size_hw, INTERPOLATIONS),
        Flip(probability=0.5),
    ]


def _strong_colour():
    """Of ssd_keras's other chains."""
    return {"brightness": 48.0, "contrast": (0.5, 1.8), "saturation": (0.5, 1.8), "around": 127.5}


def satellite(size_hw: tuple[int, int]) -> list[Block]:
    """ssd_keras's for images from above, which have no up and down."""
    return [
        # There, contrast always comes before saturation and hue.
        distortion(**_strong_colour()).blocks[0],
        Flip(probability=0.5),
        Flip("vertical", probability=0.5),
        QuarterTurns(probability=0.5),
        RandomPatch((0.3, 2.0), (0.8, 1.25)),
        Resize(size_hw),
        DropSmall(),
    ]


def constant(size_hw: tuple[int, int]) -> list[Block]:
    """ssd_keras's for images of one size: shift, then enlarge; or shrink, then shift."""
    early, late = distortion(**_strong_colour()).blocks
    shift = Translate((0.03, 0.5), (0.03, 0.5), probability=0.5)
    larger, smaller = Zoom(1.0, 2.0, probability=0.5), Zoom(0.5, 1.0, probability=0.5)
    return [
        OneOf([Chain([early, shift, larger]), Chain([late, smaller, shift])]),
        Flip(probability=0.5),
        Resize(size_hw),
        DropSmall(),
    ]


def variable(size_hw: tuple[int, int]) -> list[Block]:
    """ssd_keras's for images of many sizes: one random patch instead of expanding and cropping."""
    return [
        distortion(**_strong_colour()).blocks[0],
        RandomPatch((0.3, 2.0), (0.5, 2.0)),
        Flip(probability=0.5),
        Resize(size_hw),
        DropSmall(),
    ]


def _weak_colour():
    return Chain([Brightness(-12, 12, probability=0.5), Contrast(0.9, 1.1, 127.5, probability=0.5)])


def light(size_hw: tuple[int, int]) -> list[Block]:
    """For few images, and for models that are nearly good: weak colours, mirror, a zoom of 3/4 to 4/3.

    The original's crops and canvases need tens of thousands of steps before they pay.
    """
    return [
        _weak_colour(),
        Flip(probability=0.5),
        Zoom(0.75, 1.35, anywhere=True, fill=MEAN_RGB, need=None),
        Resize(size_hw),
        DropSmall(),
    ]


def light_turns(size_hw: tuple[int, int]) -> list[Block]:
    """`light` for images that have no up and down, as those of a microscope."""
    return [
        _weak_colour(),
        Flip(probability=0.5),
        Flip("vertical", probability=0.5),
        QuarterTurns((1,), keep_size=True, fill=MEAN_RGB, probability=0.5),
        Zoom(0.75, 1.35, anywhere=True, fill=MEAN_RGB, need=None),
        Resize(size_hw),
        DropSmall(),
    ]


def mosaic(size_hw: tuple[int, int]) -> list[Block]:
    """Four images in one half of the time, two blended 15 % of the time, then as `light`."""
    return [Mosaic(size_hw, probability=0.5), MixUp(probability=0.15), *light(size_hw)]


def resize(size_hw: tuple[int, int]) -> list[Block]:
    """Nothing but the size that the model takes: for validation."""
    return [Resize(size_hw)]


CHAINS: dict[str, Callable[[tuple[int, int]], list[Block]]] = {
    "ssd": ssd,
    "satellite": satellite,
    "constant": constant,
    "variable": variable,
    "light": light,
    "light-turns": light_turns,
    "mosaic": mosaic,
    "resize": resize,
}


def named_chain(name: str, size_hw: tuple[int, int] = (300, 300)) -> Chain:
    """A chain by its name.

    Args:
        name: one of `CHAINS`.
        size_hw: (height, width) that the model takes, pixels.

    Returns:
        `Chain`; all blocks are open to see in its `blocks`.

    Raises:
        ValueError: there is no such chain.

    Example:
        >>> named_chain("ssd", (512, 512))(sample, sample_rng(0, 0, 7)).image.shape
        (512, 512, 3)
    """
    if name not in CHAINS:
        raise ValueError(unknown_name("augmentation", name, CHAINS))
    return Chain(CHAINS[name](size_hw))
