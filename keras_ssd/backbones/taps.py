"""The feature maps of a network: grid, stride and receptive field of each, and which ones to tap."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import functional_of
from keras_ssd.layer_calls import calls_of, is_functional
from keras_ssd.layers import Deconvolution2D, L2Normalization, LowestPadding2D, PaddedAveragePooling2D

STRIDES = (8, 16, 32)

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.UnitNormalization,
    L2Normalization,
)
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, PaddedAveragePooling2D)
_GROWING = (keras.layers.Conv2DTranspose, Deconvolution2D)
_PADDINGS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D, LowestPadding2D)
_WEIGHINGS = (keras.layers.Dense, keras.layers.EinsumDense)


@dataclass(frozen=True)
class FeatureMap:
    """The output of one layer, described in pixels of the image.

    Args:
        layer: the layer's name.
        grid_hw: (height, width) in cells.
        channels: of each cell.
        stride_hw: pixels from cell to cell.
        field_hw: receptive field of a cell in pixels. Pooling over the whole image, as in squeeze and excitation, does
            not count.
        passage: whether everything computed later depends on this layer, so that tapping it cuts no branch of a block.
        normalized: whether a normalisation fixes the scale of its values.
        tensor: the symbolic tensor (B, H, W, C).
    """

    layer: str
    grid_hw: tuple[int, int]
    channels: int
    stride_hw: tuple[float, float]
    field_hw: tuple[int, int]
    passage: bool
    normalized: bool
    tensor: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        grid, stride = _by(self.grid_hw), _one(self.stride_hw)
        return f"{self.layer} ({grid}, {self.channels} channels, stride {stride})"


@dataclass(frozen=True)
class _View:
    """The geometry of a map: stride and receptive field along each axis, and whether it is normalised."""

    stride: tuple[float, float] = (1.0, 1.0)
    field: tuple[int, int] = (1, 1)
    normalized: bool = False


@checked_arguments
def feature_maps(model: Any) -> dict[str, FeatureMap]:
    """{layer name: `FeatureMap`} of a functional model with one image as input, in the order of computation.

    Layers that are called more than once and layers whose output is no map (B, H, W, C) of known size are left out.
    Models inside the model count as one layer.

    Args:
        model: functional `keras.Model`, channels last.

    Raises:
        TypeError: not a functional model.

    Example:
        >>> maps = keras_ssd.backbones.taps(keras_ssd.backbones.vgg16((300, 300)))
        >>> maps["conv4_3"].grid_hw, maps["conv4_3"].stride_hw, maps["conv4_3"].field_hw
        ((38, 38), (8, 8), (92, 92))
    """
    calls = calls_of(model)
    views = _views_of(calls, {id(x): _View() for x in model.inputs}, tuple(model.inputs[0].shape[1:3]))
    passages = _passages(calls)
    found, twice = {}, set()
    for call, passage in zip(calls, passages, strict=True):
        name, tensor = call.layer.name, call.outputs[0]
        view = views.get(id(tensor))
        if name in found:
            twice.add(name)
        if view is None or len(call.outputs) != 1 or None in tensor.shape[1:] or isinstance(call.layer, _PADDINGS):
            continue
        grid, (down, right) = tuple(tensor.shape[1:3]), (int(s) if s == int(s) else s for s in view.stride)
        found[name] = FeatureMap(
            name, grid, tensor.shape[3], (down, right), view.field, passage, view.normalized, tensor
        )
    return {name: found[name] for name in found if name not in twice}


def propose_taps(maps: Mapping[str, FeatureMap], strides: Sequence[float] = STRIDES) -> list[FeatureMap]:
    """The feature maps that a detector should read: the last one of each stride that no branch bypasses, finest first.

    Strides that the network does not have are left out. If it has none of them, its three coarsest are taken. The list
    is empty if there is no map coarser than the image.
    """
    by_stride = {}
    for each in maps.values():
        by_stride.setdefault(each.stride_hw, []).append(each)
    coarser = {stride: row for stride, row in by_stride.items() if max(stride) > 1}
    wanted = [(s, s) for s in strides if (s, s) in coarser] or sorted(coarser)[-3:]
    return [_best(coarser[stride]) for stride in wanted]


@checked_arguments
def possible_taps(maps: Mapping[str, FeatureMap]) -> str:
    """The best map of each stride, as text for messages."""
    rows = propose_taps(maps, sorted({each.stride_hw[0] for each in maps.values() if max(each.stride_hw) > 1}))
    return ", ".join(map(str, rows)) or "none"


def _best(row):
    """The last map that all later ones depend on; if branches bypass all, the last with most channels."""
    passages = [each for each in row if each.passage]
    widest = max(each.channels for each in row)
    return (passages or [each for each in row if each.channels == widest])[-1]


def _passages(calls):
    """For each call, whether every path from the input to the outputs goes through it."""
    place = {id(x): index for index, call in enumerate(calls) for x in call.outputs}
    latest = list(range(len(calls)))  # for each call, the last one that reads it
    reach = 0  # the last call that reads the input or a call before this one
    for index, call in enumerate(calls):
        for x in call.inputs:
            source = place.get(id(x))
            if source is None:
                reach = max(reach, index)
            else:
                latest[source] = index
    passages = []
    for index, last in enumerate(latest):
        passages.append(reach <= index)
        reach = max(reach, last)
    return passages


def _views_of(calls, views, size_hw):
    """{id of a tensor: `_View`} of every map that the calls compute from an image of a given size."""
    views = dict(views)
    for call in calls:
        known = [(x, views[id(x)]) for x in call.inputs if id(x) in views]
        for tensor in call.outputs:
            if len(tensor.shape) == 4:
                view = _view_behind(call, known, tensor, size_hw) if known else None
                view = view or _view_by_size(tensor, size_hw)
                if view is not None:
                    views[id(tensor)] = view
    return views


def _view_by_size(tensor, size_hw):
    """The geometry of a map of unknown origin, such as one that is reassembled from patches, by its size.

    Every cell may see the whole image. A single cell is no map, but a value of the whole image.
    """
    grid = tuple(tensor.shape[1:3])
    if None in (*grid, *size_hw) or max(grid) <= 1:
        return None
    stride = size_hw[0] / grid[0], size_hw[1] / grid[1]
    if min(stride) < 1 or max(stride) > 1.5 * min(stride):
        return None
    whole = 2 ** round(math.log2(min(stride)))
    close = all(abs(s - whole) < 0.25 * whole for s in stride)
    return _View((float(whole), float(whole)) if close else stride, tuple(size_hw))


def _view_behind(call, known, tensor, size_hw):
    """The geometry of the output of one call, or None for unknown layers."""
    layer = call.layer
    if isinstance(layer, keras.Model):
        return _view_through(layer, known[0][1], size_hw)
    same = [view for x, view in known if tuple(x.shape[1:3]) == tuple(tensor.shape[1:3])]
    views = same or [view for _, view in known]
    stride = tuple(max(view.stride[axis] for view in views) for axis in (0, 1))
    field = tuple(max(view.field[axis] for view in views) for axis in (0, 1))
    kernel, step, grow = _window(layer)
    if kernel is None:
        if not same and not isinstance(layer, _PADDINGS):
            return None
        normalized = isinstance(layer, _NORMALIZATIONS) or all(view.normalized for view in views)
        return _View(stride, field, normalized and not isinstance(layer, _WEIGHINGS))
    field = tuple(f + math.ceil((k - 1) * s) for f, k, s in zip(field, kernel, stride, strict=True))
    stride = tuple(s * t / g for s, t, g in zip(stride, step, grow, strict=True))
    return _View(
        stride,
        field,
        isinstance(layer, (*_POOLINGS, keras.layers.UpSampling2D)) and all(view.normalized for view in views),
    )


def _view_through(model, view, size_hw):
    """The geometry of the output of a model inside the model."""
    model = functional_of(model)
    if not is_functional(model) or len(model.inputs) != 1:
        return None
    return _views_of(calls_of(model), {id(model.inputs[0]): view}, size_hw).get(id(model.outputs[0]))


def _window(layer):
    """(size of the window with dilation, its step, factor of growth), each (height, width); size None for no window."""
    if isinstance(layer, keras.layers.UpSampling2D):
        return (1, 1), (1, 1), _pair(layer.size)
    if not isinstance(layer, (*_CONVOLUTIONS, *_POOLINGS, *_GROWING)):
        return None, None, None
    size = _pair(layer.pool_size if isinstance(layer, _POOLINGS) else layer.kernel_size)
    step = _pair(layer.strides or size)
    dilation = _pair(getattr(layer, "dilation_rate", 1) or 1)
    size = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    return (size, (1, 1), step) if isinstance(layer, _GROWING) else (size, step, (1, 1))


def _pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _by(pair):
    return "x".join(f"{v:g}" for v in pair)


def _one(pair):
    return f"{pair[0]:g}" if pair[0] == pair[1] else _by(pair)
