"""Anchors for a network that has none: sizes are spread evenly over its feature maps, as in the original."""

from collections.abc import Sequence

from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.calling import checked_arguments

SMALLEST, LARGEST = 20, 90  # percent of the image's shorter side, as in the paper and in ssd_pascal.py
FINE_STRIDE = 8
FEW_CELLS = 3


@checked_arguments
def spread_spec(
    image_size: Sequence[int], grids: Sequence[Sequence[int]], strides: Sequence[Sequence[float]], *, even: bool = False
) -> AnchorSpec:
    """Anchors whose sizes grow evenly from map to map, from 20 % to 90 % of the shorter side of the image.

    The rule is the original's. The sizes between the first and the last are whole percents. A map with a stride of 8
    pixels or less comes before the first and has half its size. The side of the second square is the geometric mean of
    the sizes of this map and the next. The finest map and maps of at most three cells per side have 4 boxes per cell,
    with ratios 1, 2 and 1/2. The other maps have 6, with ratios 3 and 1/3 in addition. For the maps of SSD300 these are
    the anchors of SSD300.

    Args:
        image_size: (height, width) of the image in pixels.
        grids: (height, width) of each map in cells, finest first.
        strides: (height, width) in pixels from cell to cell of each map. Where the map does not cover the image at
            this stride, as maps without padding do not, the step is image size / grid.
        even: 6 boxes per cell on every map, for heads that all maps share.

    Returns:
        `AnchorSpec` with the variances of the original. Sizes are not cut to whole pixels.

    Example:
        >>> spread_spec((300, 300), [(38, 38), (19, 19)], [(8, 8), (16, 16)]).boxes_per_cell
        (4, 6)

    Source: weiliu89/caffe, branch ssd, examples/ssd/ssd_pascal.py.
    """
    shorter = min(image_size)
    percents = _percents(len(grids), fine=max(strides[0]) <= FINE_STRIDE)
    levels = []
    for index, (grid, stride) in enumerate(zip(grids, strides, strict=True)):
        few = not even and (index == 0 or max(grid) <= FEW_CELLS)
        smallest, largest = (shorter * percents[index + i] / 100 for i in (0, 1))
        level = AnchorLevel.prior_box(
            image_size,
            grid,
            (smallest,),
            (largest,),
            (2,) if few else (2, 3),
            step=_step(image_size, grid, stride),
            truncate_sizes=False,
        )
        levels.append(level)
    height, width = image_size
    return AnchorSpec((height, width), tuple(levels))


def _percents(count, fine):
    """Sizes of `count` maps and of one more after the last, in percent of the shorter side."""
    spread = count - fine  # maps between the smallest and the largest size
    step = (LARGEST - SMALLEST) // max(spread - 1, 1)
    percents = [SMALLEST + step * index for index in range(spread + 1)]
    return [SMALLEST // 2, *percents] if fine else percents


def _step(image_size: Sequence[int], grid: Sequence[int], stride: Sequence[float]) -> tuple[float, ...] | None:
    """The stride of the network, if the map covers the image to within a cell; else None."""
    fits = all(abs(size / s - cells) < 1 for size, s, cells in zip(image_size, stride, grid, strict=True))
    return tuple(stride) if fits else None
