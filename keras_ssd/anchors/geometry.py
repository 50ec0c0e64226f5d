"""Anchor boxes as arrays, from the description of an `AnchorSpec`; float32 where Caffe computes in float32."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_ssd.anchors.spec import AnchorSpec


def _level_geometry(level):
    """Centres (n, 2) as (x, y) in pixels and sizes (n, 2) as (w, h), row-major, box fastest; float32 as in Caffe."""
    f = np.float32
    grid_h, grid_w = level.grid_hw
    y = (np.arange(grid_h, dtype=f) + f(level.offset_hw[0])) * f(level.step_hw[0])
    x = (np.arange(grid_w, dtype=f) + f(level.offset_hw[1])) * f(level.step_hw[1])
    boxes_wh = np.asarray(level.boxes_hw, f)[:, ::-1]
    shape = (grid_h, grid_w, level.boxes_per_cell, 2)
    centres = np.stack(np.broadcast_arrays(x[None, :, None], y[:, None, None]), axis=-1)
    centres = np.broadcast_to(centres, shape)
    if level.shifts_hw:
        centres = centres + np.asarray(level.shifts_hw, f)[:, ::-1]
    centres = centres.reshape(-1, 2)
    sizes = np.broadcast_to(boxes_wh, shape).reshape(-1, 2)
    return centres.astype(np.float64), sizes.astype(np.float64)


def _geometry(spec):
    parts = [_level_geometry(level) for level in spec.levels]
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


@functools.lru_cache(maxsize=32)
def corners(spec: AnchorSpec) -> np.ndarray:
    centres, sizes = _geometry(spec)
    image_wh = np.asarray(spec.image_size[::-1], np.float64)
    corners = np.concatenate([(centres - sizes / 2) / image_wh, (centres + sizes / 2) / image_wh], axis=1)
    corners = corners.astype(np.float32)
    if spec.clip:
        corners = np.clip(corners, np.float32(0), np.float32(1))
    corners.setflags(write=False)
    return corners


@functools.lru_cache(maxsize=32)
def centres(spec: AnchorSpec) -> np.ndarray:
    if spec.clip:
        low, high = np.split(corners(spec).astype(np.float64), 2, axis=1)
        result = np.concatenate([(low + high) / 2, high - low], axis=1)
    else:
        image_wh = np.asarray(spec.image_size[::-1], np.float64)
        centres, sizes = _geometry(spec)
        result = np.concatenate([centres / image_wh, sizes / image_wh], axis=1)
    result = result.astype(np.float32)
    result.setflags(write=False)
    return result
