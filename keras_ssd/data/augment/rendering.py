"""Steps applied to pixels, with the work left out that no pixel of the result depends on.

Colour steps work pixel by pixel, so cropping first and colouring what is left gives the same numbers as colouring all
and cropping then. A window within a window is one window. Both hold exactly.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_ssd.data.augment.color_steps import PixelStep
from keras_ssd.data.augment.pixels import as_uint8
from keras_ssd.data.augment.steps import Step, Window


def render(image: np.ndarray, steps: Iterable[Step]) -> np.ndarray:
    """The image after all steps.

    Args:
        image: (H, W, 3) uint8, or float in 0..255, which is rounded first.
        steps: as blocks drew them for an image of this size.

    Returns:
        (height, width, 3) uint8.
    """
    image = as_uint8(image)
    colours, windows = [], []
    for step in steps:
        if isinstance(step, Window):
            _append(windows, step, within)
        elif isinstance(step, PixelStep):
            if windows:  # what they filled is coloured too, so it has to be there first
                image, colours, windows = _seen(image, colours, windows), [], []
            _append(colours, step, PixelStep.joined)
        else:
            image, colours, windows = step.pixels(_seen(image, colours, windows)), [], []
    return _seen(image, colours, windows)


def _append(steps, step, join):
    both = join(steps[-1], step) if steps else None
    if both is None:
        steps.append(step)
    else:
        steps[-1] = both


def _seen(image, colours, windows):
    """The image after colour steps and then windows."""
    if windows:
        return _seen(windows[0].pixels(image, colours), (), windows[1:])
    for step in colours:
        image = step.pixels(image)
    return image


def within(first: Window, second: Window) -> Window | None:
    """The one window that shows what `second` shows of `first`; None where it looks past it."""
    fits = 0 <= second.top <= first.height - second.height and 0 <= second.left <= first.width - second.width
    if not fits:
        return None
    place = {"top": first.top + second.top, "left": first.left + second.left}
    return dataclasses.replace(first, height=second.height, width=second.width, **place)
