"""How well the anchors of a model match the objects of a dataset."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.overlaps import GridOverlaps, winners
from keras_ssd.anchors.reasons import MATCHED, REASONS, reasons
from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.anchors.text import table
from keras_ssd.calling import checked_arguments

if TYPE_CHECKING:
    from PIL import Image

# Limits between the bins of width / height; the middle bin holds nearly square objects.
RATIO_LIMITS = (1 / 3, 1 / 2, 0.8, 1.25, 2, 3)
RATIO_TITLES = ("below 1/3", "1/3 to 1/2", "1/2 to 0.8", "0.8 to 1.25", "1.25 to 2", "2 to 3", "above 3")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AnchorReport:
    """How well the anchors of a spec match the objects of a dataset. `print` shows tables, `draw` makes a diagram.

    Args:
        spec: `AnchorSpec`.
        objects: `Objects`; the arrays below have one row per object.
        iou_threshold: lowest IoU at which an anchor matches an object.
        best_iou: (M,) IoU with the anchor that overlaps the object most.
        best_anchor: (M,) index of this anchor.
        matched: (M,) number of anchors matched to the object because of their IoU: they reach the threshold and
            overlap no other object more. If it is 0, the network can learn the object only through the first stage of
            matching, which gives each object one anchor (bipartite matching).
        reasons: (M,) indices into `keras_ssd.anchors.reasons.REASONS`.
        wins: number of matched pairs of each box, one tuple per level.
    """

    spec: AnchorSpec
    objects: Objects
    iou_threshold: float
    best_iou: np.ndarray
    best_anchor: np.ndarray
    matched: np.ndarray
    reasons: np.ndarray
    wins: tuple[tuple[int, ...], ...]

    @property
    def recall(self) -> float:
        """Share of the objects that an anchor overlaps by at least the threshold."""
        return float((self.best_iou >= self.iou_threshold).mean())

    @property
    def mean_best_iou(self) -> float:
        """Mean over the objects of the IoU with the best anchor."""
        return float(self.best_iou.mean(dtype=np.float64))

    @property
    def saved(self) -> np.ndarray:
        """(M,) bool: objects that get an anchor only from bipartite matching."""
        return (self.matched == 0) & (self.best_iou > 0)

    @property
    def lost(self) -> np.ndarray:
        """(M,) bool: objects that overlap no anchor at all."""
        return self.best_iou == 0

    def by_class(self) -> list[dict[str, Any]]:
        """One row (a dictionary) per class."""
        ids = self.objects.class_ids
        return [self._row("class", self.objects.class_name(each), ids == each) for each in np.unique(ids)]

    def by_size(self) -> list[dict[str, Any]]:
        """One row for each doubling of the size. The size is the square root of the area, in pixels of the input."""
        octaves = np.floor(np.log2(self.sizes)).astype(int)
        return [
            self._row("size in pixels", f"{2.0**each:g} to {2.0 ** (each + 1):g}", octaves == each)
            for each in range(octaves.min(), octaves.max() + 1)
        ]

    def by_ratio(self) -> list[dict[str, Any]]:
        """One row for each range of width / height that has objects."""
        bins = np.searchsorted(RATIO_LIMITS, self.ratios, side="right")
        return [self._row("width / height", RATIO_TITLES[each], bins == each) for each in np.unique(bins)]

    def by_level(self) -> list[dict[str, Any]]:
        """One row for each level: its boxes, and what they match."""
        level_of, _ = places_of(self.spec, self.best_anchor)
        return [
            {
                "level": index,
                "step": f"{level.step_hw[0]:.3g}",
                "best for": int((level_of == index).sum()),
                "matches": int(sum(self.wins[index])),
                "boxes, height x width (matches)": ", ".join(
                    f"{height:.0f}x{width:.0f} ({wins})"
                    for (height, width), wins in zip(level.boxes_hw, self.wins[index], strict=True)
                ),
            }
            for index, level in enumerate(self.spec.levels)
        ]

    def by_reason(self) -> list[dict[str, Any]]:
        """One row for each reason why objects are not matched, the most frequent first."""
        counts = np.bincount(self.reasons, minlength=len(REASONS))
        order = [place for place in np.argsort(-counts, kind="stable") if counts[place] and place != MATCHED]
        return [
            {
                "why no anchor matches": REASONS[place][0],
                "objects": int(counts[place]),
                "share": f"{counts[place] / len(self.objects):.1%}",
                "size": _middle(self.sizes[self.reasons == place]),
                "width / height": _middle(self.ratios[self.reasons == place]),
                "meaning": REASONS[place][1],
            }
            for place in order
        ]

    def summary(self) -> list[str]:
        """Lines of text about all objects."""
        count = len(self.objects)
        (height, width), grids = self.spec.image_size, len(self.spec.levels)
        low, middle, high = np.quantile(self.matched, (0.05, 0.5, 0.95))
        beaten = int((self.saved & (self.best_iou >= self.iou_threshold)).sum())
        lines = [
            f"{count:,} objects in {self.objects.num_images:,} images, warped to {width} x {height} (width x "
            f"height); {self.spec.num_anchors:,} anchors on {grids} {'level' if grids == 1 else 'levels'}",
            f"recall at IoU {self.iou_threshold:g}: {self.recall:.1%}; mean best IoU: {self.mean_best_iou:.3f}",
            f"anchors that match an object: median {middle:g}, 5 % have at most {low:g}, 95 % at most {high:g}",
            f"only bipartite matching saves {int(self.saved.sum()):,} ({self.saved.mean():.1%}); "
            f"of these {beaten:,} lose their anchors to a neighbour",
        ]
        if self.lost.any():
            lines.append(f"no anchor overlaps {int(self.lost.sum()):,}: a network cannot learn them")
        idle = [str(index) for index, wins in enumerate(self.wins) if not any(wins)]
        if idle:
            which = f"level {idle[0]} matches" if len(idle) == 1 else f"levels {', '.join(idle)} match"
            lines.append(f"{which} no object: the network could do without")
        if self.objects.left_out:
            lines.append(f"{self.objects.left_out:,} boxes without area are left out")
        return lines

    def __str__(self) -> str:
        parts = [self.by_class(), self.by_size(), self.by_ratio(), self.by_level(), self.by_reason()]
        return "\n\n".join(["\n".join(self.summary()), *(table(rows) for rows in parts if rows)])

    def __repr__(self) -> str:
        return f"AnchorReport({len(self.objects)} objects, recall {self.recall:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: the numbers of the summary and all rows."""
        return {
            "objects": len(self.objects),
            "images": self.objects.num_images,
            "anchors": self.spec.num_anchors,
            "iou_threshold": self.iou_threshold,
            "recall": self.recall,
            "mean_best_iou": self.mean_best_iou,
            "matched_median": float(np.median(self.matched)),
            "saved_by_bipartite": int(self.saved.sum()),
            "lost": int(self.lost.sum()),
            "by_class": self.by_class(),
            "by_size": self.by_size(),
            "by_ratio": self.by_ratio(),
            "by_level": self.by_level(),
            "by_reason": self.by_reason(),
        }

    def draw(self) -> Image.Image:
        """A PIL image: objects and anchors by width and height, recall by size, shape and class, and best IoUs."""
        from keras_ssd.anchors.diagrams import draw_report

        return draw_report(self)

    @property
    def sizes(self) -> np.ndarray:
        """(M,) square roots of the areas of the objects, in pixels of the input."""
        return np.sqrt(self.objects.sizes_hw(self.spec.image_size).prod(axis=1))

    @property
    def ratios(self) -> np.ndarray:
        """(M,) width / height in pixels of the input."""
        heights, widths = self.objects.sizes_hw(self.spec.image_size).T
        return widths / heights

    def _row(self, title, name, mine):
        count = int(mine.sum())
        return {
            title: name,
            "objects": count,
            "recall": float((self.best_iou[mine] >= self.iou_threshold).mean()) if count else float("nan"),
            "mean best IoU": float(self.best_iou[mine].mean(dtype=np.float64)) if count else float("nan"),
            "anchors each": float(np.median(self.matched[mine])) if count else float("nan"),
            "only bipartite": int(self.saved[mine].sum()),
        }


def _middle(values):
    return f"{np.median(values):.3g}"


@checked_arguments
def report(spec: Any, dataset: Any, iou_threshold: float = 0.5) -> AnchorReport:
    """Compares anchors with the objects of a dataset: which objects they match, and which not.

    A network learns an object through the anchors that match it. An object that no anchor overlaps well gets a single
    anchor, whose shape is far from its own. A class of such objects is detected badly, however long the training.

    Args:
        spec: an `AnchorSpec`, or a model of this package.
        dataset: a `keras_ssd.data.Dataset`, a list of annotations or samples, or an array (M, 4) of boxes in fractions
            of the image. Images are warped to the input size, as `detect` and training do, so their own size does not
            matter.
        iou_threshold: lowest IoU at which an anchor matches an object, above 0 and at most 1.

    Raises:
        TypeError: `spec` is no spec or `dataset` is no dataset.
        ValueError: there are no objects, boxes are in pixels, or the threshold is out of range.

    Example:
        >>> found = keras_ssd.anchors.report(model, train)
        >>> print(found)
        >>> found.draw().save("anchors.png")
    """
    spec = spec_of(spec)
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"`iou_threshold` must be above 0 and at most 1. Received: iou_threshold={iou_threshold!r}")
    objects = Objects.of(dataset)
    overlaps = GridOverlaps(spec)
    pairs = overlaps.pairs(objects.boxes_xyxy, iou_threshold)
    best_anchor, best_iou = overlaps.best(objects, pairs)
    won = winners(objects, pairs, spec.num_anchors)
    level, box = places_of(spec, pairs[1][won])
    wins = tuple(
        tuple(np.bincount(box[level == index], minlength=each.boxes_per_cell).tolist())
        for index, each in enumerate(spec.levels)
    )
    return AnchorReport(
        spec,
        objects,
        float(iou_threshold),
        best_iou,
        best_anchor,
        np.bincount(pairs[0][won], minlength=len(objects)),
        reasons(objects, spec, best_iou, iou_threshold),
        wins,
    )


def spec_of(given: Any) -> AnchorSpec:
    """The `AnchorSpec` of a spec or of a model.

    Raises:
        TypeError: it is neither.
    """
    # A model that Keras wrapped in another one has no `anchor_spec`, and still the layer that holds it.
    inside = [layer.spec for layer in getattr(given, "layers", ()) if hasattr(layer, "spec")]
    spec = getattr(given, "anchor_spec", inside[0] if len(inside) == 1 else given)
    if not isinstance(spec, AnchorSpec):
        raise TypeError(
            "`spec` must be an AnchorSpec or a model of keras_ssd; a recipe gives one by its method `spec`. "
            f"Received: spec={given!r}"
        )
    return spec


def places_of(spec: AnchorSpec, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(level, box of the cell), each (P,), of anchors that are given by their indices."""
    limits = np.cumsum([0, *(level.num_anchors for level in spec.levels)])
    level = np.searchsorted(limits, anchors, side="right") - 1
    per_cell = np.array([each.boxes_per_cell for each in spec.levels])
    return level, (anchors - limits[level]) % per_cell[level]
