"""Extra layers, which make coarser feature maps after the backbone's last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ssd.backbones.blocks import ConvRow, ConvStyle, SeparableRow, apply_row, apply_separable_row
from keras_ssd.calling import checked_arguments

FILTERS = 256


@checked_arguments
@dataclass(frozen=True)
class Extra:
    """Convolutions that make one more feature map; the last row's name is the map's name.

    Args:
        rows: `ConvRow`s or `SeparableRow`s.
    """

    rows: tuple[ConvRow | SeparableRow, ...]

    @property
    def layer(self) -> str:
        """Name of the feature map."""
        return self.rows[-1].name

    def __call__(self, x: Any, style: ConvStyle) -> Any:
        """The feature map that follows the one before."""
        for row in self.rows:
            x = apply_separable_row(x, row, style) if isinstance(row, SeparableRow) else apply_row(x, row, style)
        return x


def derive_extras(
    grid_hw: Sequence[int], count: int | None = None, *, separable: bool = False, filters: int = FILTERS
) -> "tuple[Extra, ...]":
    """The extras that reduce a grid to one cell, or as many as `count`, named `extra1_2`, `extra2_2`, ...

    Each has a 1x1 convolution, which reduces the channels, and a 3x3 one: without padding if both sides have 3 to 5
    cells, as at the end of SSD300, otherwise with stride 2 and padding 1. The first keeps the width, the others halve
    it inside. `filters` are the channels of each new map. `separable` replaces full convolutions with ReLU by depthwise
    ones with BatchNorm and ReLU6, as in SSDlite.

    Raises:
        ValueError: `count` is more than there are until 1x1.

    Example:
        >>> [extra.layer for extra in derive_extras((10, 10))]
        ['extra1_2', 'extra2_2', 'extra3_2']
    """
    row = SeparableRow if separable else ConvRow
    grid, extras = tuple(grid_hw), []
    while max(grid) > 1 and (count is None or len(extras) < count):
        number = len(extras) + 1
        unpadded = all(3 <= side <= 5 for side in grid)
        stride, pad = (1, 0) if unpadded else (2, 1)
        grid = tuple(side - 2 if unpadded else -(-side // 2) for side in grid)
        squeeze = row(f"extra{number}_1", filters if number == 1 else max(filters // 2, 8), 1)
        extras.append(Extra((squeeze, row(f"extra{number}_2", filters, 3, stride=stride, pad=pad))))
    if count is not None and len(extras) < count:
        raise ValueError(
            f"After {len(extras)} extra feature maps the grid is 1x1, and no smaller one follows: it begins at "
            f"{grid_hw[0]}x{grid_hw[1]}. Received: {count} extras. Tap a finer map, take larger images, or ask for "
            "fewer."
        )
    return tuple(extras)
