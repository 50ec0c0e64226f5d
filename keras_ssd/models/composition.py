"""The parts of a detector as a table: what each head reads, and its anchors."""

from dataclasses import dataclass
from typing import Any

from keras_ssd.anchors import AnchorLevel
from keras_ssd.backbones.taps import FeatureMap, feature_maps


@dataclass(frozen=True)
class Composition:
    """One row per level; `str()` is a table.

    Args:
        rows: (`FeatureMap` or None, `AnchorLevel`) of each level; None if the head's input is unknown.
        preprocessing: names of the layers between the images and the first convolution.
        num_anchors: of all levels.
    """

    rows: tuple[tuple[FeatureMap | None, AnchorLevel], ...]
    preprocessing: tuple[str, ...]
    num_anchors: int

    @classmethod
    def of(cls, model: Any) -> "Composition":
        """The composition of an `SSD`, also of one that was loaded from a file."""
        found = feature_maps(model)
        levels = model.anchor_spec.levels
        sources = model.sources or ("",) * len(levels)
        rows = tuple((found.get(name), level) for name, level in zip(sources, levels, strict=True))
        return cls(rows, _before_convolutions(model), model.anchor_spec.num_anchors)

    def __str__(self) -> str:
        head = ("head reads", "grid", "channels", "stride", "sees", "boxes per cell, height x width in pixels")
        table: list[tuple[str, ...]] = [head]
        for seen, level in self.rows:
            boxes = ", ".join(f"{h:.0f}x{w:.0f}" for h, w in level.boxes_hw)
            grid = f"{level.grid_hw[0]}x{level.grid_hw[1]}"
            facts = ("?", "", "", "") if seen is None else _facts(seen)
            table.append((facts[0], grid, *facts[1:], boxes))
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
        prepared = ", ".join(self.preprocessing) or "none"
        return "\n".join([*lines, f"{self.num_anchors:,} anchors; layers that prepare the images: {prepared}"])


def _facts(seen):
    (stride_h, stride_w), (field_h, field_w) = seen.stride_hw, seen.field_hw
    stride = f"{stride_h:g}" if stride_h == stride_w else f"{stride_h:g}x{stride_w:g}"
    return seen.layer, str(seen.channels), stride, f"{field_h}x{field_w}"


def _before_convolutions(model):
    names = []
    for layer in model.layers[1:]:
        if hasattr(layer, "kernel_size") or isinstance(layer, type(model)):
            break
        names.append(layer.name)
    return tuple(names)
