"""Statistics of the objects of a dataset, and whether a model's anchors can match them."""

import dataclasses
from typing import Any

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorSpec
from keras_ssd.anchors.overlaps import best_iou
from keras_ssd.calling import checked_arguments, former_attributes
from keras_ssd.data.dataset import Dataset


@former_attributes(pictures="images", per_picture="per_image", picture_sizes="image_sizes")
@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """Numbers of a dataset.

    Args:
        classes: names.
        images: how many.
        class_ids: (M,) of all objects.
        sizes: (M,) side of a square of the box's area, as a fraction of that of the image's.
        aspect_ratios: (M,) width / height in pixels of a square input, which SSD warps images to.
        per_image: (images,) objects of each.
        image_sizes: dictionary from (height, width) to how many images have it, the most frequent first.
        best_iou: (M,) IoU of each object with the anchor that overlaps it most; None without anchors.
    """

    classes: tuple[str, ...]
    images: int
    class_ids: np.ndarray
    sizes: np.ndarray
    aspect_ratios: np.ndarray
    per_image: np.ndarray
    image_sizes: dict[tuple[int, int], int]
    best_iou: np.ndarray | None = None

    @checked_arguments
    def unmatched(self, iou_threshold: float = 0.5) -> np.ndarray:
        """(M,) bool: objects that no anchor overlaps by the threshold, so that just one anchor learns them.

        Raises:
            ValueError: the statistics were made without anchors.
        """
        if self.best_iou is None:
            raise ValueError("These statistics know no anchors. Pass anchors=... to `statistics`.")
        return self.best_iou < iou_threshold

    def rows(self) -> list[dict[str, Any]]:
        """A dictionary per class, ready for a table: what `str` shows."""
        return [self._row(name, self.class_ids == place) for place, name in enumerate(self.classes)]

    def _row(self, name, mine):
        row = {"class": name, "objects": int(mine.sum())}
        for title, values in (("size", self.sizes), ("aspect ratio", self.aspect_ratios)):
            low, middle, high = np.quantile(values[mine], (0.05, 0.5, 0.95)) if mine.any() else (np.nan,) * 3
            row |= {f"{title} 5 %": float(low), f"{title} median": float(middle), f"{title} 95 %": float(high)}
        if self.best_iou is not None:
            row["unmatched"] = int(self.unmatched()[mine].sum())
            row["median IoU"] = float(np.median(self.best_iou[mine])) if mine.any() else np.nan
        return row

    def __str__(self) -> str:
        return "\n".join([*self.summary(), "", *_aligned(self.rows())])

    def summary(self) -> list[str]:
        """Lines about the images and all objects."""
        objects = len(self.class_ids)
        per = self.per_image
        spread = f"{per.min()} to {per.max()}, median {np.median(per):g}" if len(per) else "none"
        shown = [f"{width} x {height} ({count})" for (height, width), count in [*self.image_sizes.items()][:4]]
        more = f", ... ({len(self.image_sizes) - 4} more)" if len(self.image_sizes) > 4 else ""
        lines = [
            f"{self.images} images, {objects} objects; objects per image: {spread}",
            f"image sizes, width x height: {', '.join(shown)}{more}",
            "size: side of the box as a fraction of the image's; aspect ratio: width / height of the warped image",
        ]
        if self.best_iou is not None:
            count = int(self.unmatched().sum())
            share = f"{count / objects:.1%}" if objects else "0 %"
            lines.append(f"unmatched: {count} objects ({share}) overlap no anchor by an IoU of 0.5")
        return lines


@checked_arguments
def statistics(data: Dataset, anchors: AnchorSpec | None = None) -> Statistics:
    """Counts, sizes and shapes of the objects of a dataset; with anchors, how well these fit.

    Args:
        data: a `Dataset`.
        anchors: an `AnchorSpec`, such as `model.anchors` or `keras_ssd.anchors.named_spec("ssd300_voc")`; None leaves
            the anchors out.

    Returns:
        `Statistics`; `print` shows a table. Crowd regions are not counted.

    Example:
        >>> print(statistics(train, keras_ssd.anchors.named_spec("ssd300_voc")))
    """
    kept = [annotation[~annotation.crowd] if annotation.crowd.any() else annotation for annotation in data]
    boxes = [_fractions(annotation) for annotation in kept]
    every = np.concatenate([*boxes, np.zeros((0, 4), np.float32)])
    sides = every[:, 2:] - every[:, :2]
    sizes_hw = [annotation.size_hw for annotation in data if annotation.size_hw]
    frequency = {size: sizes_hw.count(size) for size in dict.fromkeys(sizes_hw)} if len(set(sizes_hw)) < 1000 else {}
    return Statistics(
        data.classes,
        len(data),
        np.concatenate([*(annotation.class_ids for annotation in kept), np.zeros(0, np.int64)]),
        np.sqrt(bx.area(every)),
        sides[:, 0] / np.maximum(sides[:, 1], np.finfo(np.float32).tiny),
        np.array([len(annotation) for annotation in kept], int),
        dict(sorted(frequency.items(), key=lambda item: -item[1])),
        None if anchors is None else best_iou(anchors, every),
    )


def _fractions(annotation):
    if annotation.size_hw is None:
        from keras_ssd.data.sample import Sample

        return Sample.of(annotation).boxes_xyxy
    return annotation.boxes_fraction


def _aligned(rows):
    """Lines of a table."""
    cells = [[*rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]


def _cell(value):
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.2f}"
    return str(value)
