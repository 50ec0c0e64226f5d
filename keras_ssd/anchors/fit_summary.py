"""A fitted spec and the gain over the anchors before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.recipes import AnchorRecipe
from keras_ssd.anchors.reporting import report
from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.anchors.text import table


@dataclass(frozen=True)
class Account:
    """The gain of a fit; `print` shows it as a table.

    Args:
        rows: one dictionary each for the boxes before, those of k-means and those of the search, where they exist.
        objects: number of objects.
    """

    rows: tuple[dict[str, Any], ...]
    objects: int

    def __str__(self) -> str:
        return table(self.rows)


def account_of(specs: Mapping[str, AnchorSpec], objects: Objects, iou_threshold: float) -> Account:
    """The `Account` of several specs by name."""
    rows = []
    for name, spec in specs.items():
        found = report(spec, objects, iou_threshold)
        rows.append(
            {
                "anchors": name,
                "boxes per cell": " ".join(map(str, spec.boxes_per_cell)),
                "mean best IoU": found.mean_best_iou,
                f"matched (IoU {iou_threshold:g})": f"{found.recall:.2%}",
                "anchors per object": float(found.matched.mean()),
                "only bipartite": int(found.saved.sum()),
            }
        )
    return Account(tuple(rows), len(objects))


@dataclass(frozen=True, eq=False)
class FittedSpec(AnchorSpec):
    """An `AnchorSpec` that `fit` made; equal to any spec of the same anchors.

    Args:
        account: `Account`, the gain; it is not compared and not saved with a model.
    """

    account: Account | None = field(default=None, compare=False)

    def __eq__(self, other: object) -> bool:
        return _facts(self) == _facts(other) if isinstance(other, AnchorSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(_facts(self))

    @property
    def recipe(self) -> AnchorRecipe:
        """An `AnchorRecipe` with these boxes, for other input sizes: they grow with the shorter side."""
        return AnchorRecipe.of(self)

    def __str__(self) -> str:
        lines = [f"Anchors fitted to {self.account.objects:,} objects", str(self.account), ""] if self.account else []
        for index, level in enumerate(self.levels):
            boxes = ", ".join(f"{height:.1f}x{width:.1f}" for height, width in level.boxes_hw)
            lines.append(f"level {index}, step {level.step_hw[0]:.4g}: boxes (height x width) {boxes}")
        return "\n".join(lines)


def _facts(spec):
    return spec.image_size, spec.levels, spec.variances, spec.clip
