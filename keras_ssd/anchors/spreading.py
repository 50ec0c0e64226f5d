"""Anchors for a network that has none: sizes spread evenly over its feature maps, as in the original."""

from collections.abc import Sequence

from keras_ssd.anchors.spec import AnchorLevel, AnchorSpec
from keras_ssd.calling import checked_arguments

SMALLEST, LARGEST = 20, 90  # percent of the image's shorter side, as in the paper and in ssd_pascal.py
FINE_STRIDE = 8
FEW_CELLS = 3


@checked_arguments
def spread_spec(
    image_size: Sequence[int], grids: Sequence[Sequence[int]], strides: Sequence[Sequence[float]], *, even: bool = False
) -> AnchorSpec:
    """Anchors whose sizes grow evenly from map to map, from 20 % to 90 % of the image's shorter side.

    The rule is the original's: between the first and the last size lie whole percents; a map with a stride of 8 pixels
    or less comes before the first and has half its size; the second square of a cell has the geometric mean of this
    map's size and the next one's. On the finest map and on those of at most three cells a side stand 4 boxes a cell,
    ratios 1, 2 and 1/2; on the others 6, ratios 3 and 1/3 besides. For SSD300's maps these are SSD300's anchors.

    Args:
        image_size: (height, width) of the image in pixels.
        grids: (height, width) of each map in cells, finest first.
        strides: (height, width) in pixels from cell to cell of each map. Where the image is covered otherwise, as
            by maps without padding, the step is image size / grid.
        even: 6 boxes a cell on every map, for heads that all maps share.

    Returns:
        `AnchorSpec` with the original's variances; sizes are not cut to whole pixels.

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
    """Sizes of `count` maps and the one behind the last, in percent of the shorter side."""
    spread = count - fine  # maps between the smallest and the largest size
    step = (LARGEST - SMALLEST) // max(spread - 1, 1)
    percents = [SMALLEST + step * index for index in range(spread + 1)]
    return [SMALLEST // 2, *percents] if fine else percents


def _step(image_size: Sequence[int], grid: Sequence[int], stride: Sequence[float]) -> tuple[float, ...] | None:
    """The network's stride, where the map covers the image to within a cell; else None."""
    fits = all(abs(size / s - cells) < 1 for size, s, cells in zip(image_size, stride, grid, strict=True))
    return tuple(stride) if fits else None
