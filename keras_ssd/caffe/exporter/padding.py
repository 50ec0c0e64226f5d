"""Keras's windows in Caffe's terms: symmetric padding, and pooling that rounds up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def convolution_of(
    size_hw: Sequence[int],
    kernel: np.ndarray,
    strides: Sequence[int],
    dilation: Sequence[int],
    cells: Sequence[Sequence[int]],
) -> tuple[np.ndarray, dict[str, Any], tuple[int, ...]]:
    """A convolution with any padding as one of Caffe's, which pads both sides equally.

    If the sides differ, the larger padding is used on both, and zeros around the kernel put every window where it was.
    The values are the same; the kernel is larger.

    Args:
        size_hw: of the map.
        kernel: (out, in, height, width).
        strides, dilation: (height, width).
        cells: ((top, bottom), (left, right)).

    Returns:
        (kernel, fields of convolution_param, (height, width) of the result).
    """
    found = [_axis(*numbers) for numbers in zip(size_hw, kernel.shape[2:], strides, dilation, cells, strict=True)]
    if None in found:  # the shift is no multiple of the dilation
        kernel, dilation = without_gaps(kernel.transpose(2, 3, 0, 1), dilation).transpose(2, 3, 0, 1), (1, 1)
        found = [_axis(*numbers) for numbers in zip(size_hw, kernel.shape[2:], strides, dilation, cells, strict=True)]
    pads, fronts, behinds, sizes = zip(*found, strict=True)
    if any(fronts) or any(behinds):
        kernel = np.pad(kernel, ((0, 0), (0, 0), *zip(fronts, behinds, strict=True)))
    param = {**pair("kernel", kernel.shape[2:], "kernel_size"), **pair("pad", pads), **pair("stride", strides)}
    if max(dilation) > 1:
        param["dilation"] = [dilation[0]] if dilation[0] == dilation[1] else list(dilation)
    return kernel, param, sizes


def _axis(size, kernel, stride, dilation, cells):
    """(pad, zeros before the kernel, zeros after it, windows) on one axis, or None."""
    before, after = cells
    room = size - dilation * (kernel - 1) - 1
    windows = (room + before + after) // stride + 1
    for zeros in range(abs(after - before) // dilation + 2):
        for behind in range(zeros + 1):
            front = zeros - behind
            pad = before + front * dilation
            left = room + 2 * pad - zeros * dilation
            if left >= 0 and left // stride + 1 == windows:
                return pad, front, behind, windows
    return None


def without_idle_cells(
    size_hw: Sequence[int], kernel: np.ndarray, dilation: Sequence[int], cells: Sequence[Sequence[int]]
) -> tuple[np.ndarray, tuple[Sequence[int], ...]]:
    """The kernel and padding for a map of one row or column, without kernel cells that only meet padding.

    OpenCV's depthwise convolution reads beyond such maps, and SSDs end in them. The kernel is
    (out, in / groups, height, width).
    """
    cells = list(cells)
    for axis, (size, step) in enumerate(zip(size_hw, dilation, strict=True)):
        before, after = cells[axis]
        reach = step * (kernel.shape[2 + axis] - 1)
        if size == 1 and before + after == reach and before % step == 0:
            kernel = kernel.take([before // step], axis=2 + axis)
            cells[axis] = (0, 0)
    return kernel, tuple(cells)


def without_gaps(kernel: np.ndarray, dilation: Sequence[int]) -> np.ndarray:
    """A dilated kernel (height, width, ...) with its zeros written out."""
    if max(dilation) == 1:
        return kernel
    rows, columns = (step * (size - 1) + 1 for size, step in zip(kernel.shape[:2], dilation, strict=True))
    whole = np.zeros((rows, columns, *kernel.shape[2:]), kernel.dtype)
    whole[:: dilation[0], :: dilation[1]] = kernel
    return whole


def pair(stem: str, values: Iterable[int], both: str | None = None, *, repeated: bool = True) -> dict[str, Any]:
    """Caffe's fields for (height, width): one if they are equal, none for padding 0 and stride 1."""
    high, wide = (int(v) for v in values)
    if (high, wide) == {"pad": (0, 0), "stride": (1, 1)}.get(stem):
        return {}
    if high == wide:
        return {both or stem: [high] if repeated else high}
    return {f"{stem}_h": high, f"{stem}_w": wide}


@dataclass(frozen=True)
class Pooling:
    """One axis of a pooling layer in Caffe.

    Args:
        size: cells of the input that are kept.
        pad: on both sides.
        windows: their number.
        first: the window that is Keras's first.
    """

    size: int
    pad: int
    windows: int
    first: int


def pooling_of(size: int, kernel: int, stride: int, cells: Sequence[int], wanted: int) -> Pooling | None:
    """The `Pooling` whose windows from `first` on are Keras's on one axis, or None.

    Args:
        size, kernel, stride: cells of the map, of a window, and between windows.
        cells: Keras's padding (before, after).
        wanted: number of Keras's windows.

    Source: BVLC/caffe, src/caffe/layers/pooling_layer.cpp, `PoolingLayer::Reshape`: padding is equal on both sides and
    smaller than a window, the number of windows is rounded up, and with padding a window that starts beyond the map is
    dropped.
    """
    for first in range(kernel):
        pad = cells[0] + first * stride
        windows = -(-(size + 2 * pad - kernel) // stride) + 1
        behind = (windows - 1) * stride >= size + pad
        if pad >= kernel:
            break
        if behind and not pad and windows > wanted:  # readers disagree on this window, so it is avoided
            return Pooling((wanted - 1) * stride + kernel, 0, wanted, 0)
        windows -= behind and pad > 0
        if windows - first >= wanted:
            return Pooling(size, pad, windows, first)
    return None


def deconvolution_of(size_hw: Sequence[int], kernel: np.ndarray, layer: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """(kernel, fields of convolution_param) of a Conv2DTranspose as Deconvolution, which crops both sides equally.

    The kernel, (height, width, out, in), gets zeros around it if the sides differ.
    """
    kernel = without_gaps(kernel, layer.dilation_rate)
    pads, fronts, behinds = [], [], []
    for size, reach, stride in zip(size_hw, kernel.shape, layer.strides, strict=False):
        over = max(reach - stride, 0)
        before = over // 2 if layer.padding == "same" else 0
        length = size * stride + (0 if layer.padding == "same" else over)
        zeros = length + 2 * before - stride * (size - 1) - reach
        fronts.append(max(-zeros, 0))
        behinds.append(max(zeros, 0))
        pads.append(before + fronts[-1])
    kernel = np.pad(kernel, (*zip(fronts, behinds, strict=True), (0, 0), (0, 0)))
    param = {**pair("kernel", kernel.shape[:2], "kernel_size"), **pair("pad", pads), **pair("stride", layer.strides)}
    return kernel, param
