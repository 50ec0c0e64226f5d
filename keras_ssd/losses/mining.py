"""The choice of background anchors that count in the loss."""

import numbers
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_ssd.calling import checked_arguments, warn_of_former_name
from keras_ssd.fastpaths import at_least
from keras_ssd.losses.checks import check_choice, number

POOLS = ("image", "batch", None)
NEGATIVE_IMAGES = ("ignore", "mine", None)


@checked_arguments
@dataclass(frozen=True)
class HardNegatives:
    """The choice of negatives: background anchors with the largest confidence loss, a few for each positive.

    Nearly all anchors see background. If all of them counted, a network could reach a small loss by predicting
    background everywhere.

    Args:
        mining: "image" (each image has its own negatives, as in Caffe), "batch" (one choice from all images,
            as in ssd_keras), or None: every background anchor counts.
        neg_pos_ratio: negatives for each positive; the product is cut to a whole number.
        n_neg_min: minimum number of negatives per image, or per batch.
        negative_images: what happens with images without a positive anchor. "ignore": none of their anchors counts,
            not even for `n_neg_min`. "mine": they contribute negatives; with `mining="image"` as many as for one
            positive. None is the rule of Caffe and ssd_keras: "ignore" with `mining="image"`, else "mine".

    Raises:
        ValueError: an unknown choice, or a number outside its range.

    Source: weiliu89/caffe, branch ssd, src/caffe/util/bbox_util.cpp, MineHardExamples (MAX_NEGATIVE).
    """

    mining: str | None = "image"
    neg_pos_ratio: float = 3.0
    n_neg_min: int = 0
    negative_images: str | None = None

    def __post_init__(self) -> None:
        if self.mining == "picture":
            warn_of_former_name("mining='picture'", "mining='image'")
            object.__setattr__(self, "mining", "image")
        check_choice("mining", self.mining, POOLS)
        check_choice("negative_images", self.negative_images, NEGATIVE_IMAGES)
        object.__setattr__(self, "neg_pos_ratio", number("neg_pos_ratio", self.neg_pos_ratio))
        if not isinstance(self.n_neg_min, numbers.Integral) or isinstance(self.n_neg_min, bool) or self.n_neg_min < 0:
            raise ValueError(f"`n_neg_min` must be an integer of at least 0. Received: n_neg_min={self.n_neg_min!r}")
        object.__setattr__(self, "n_neg_min", int(self.n_neg_min))

    @property
    def ignores_negative_images(self) -> bool:
        """Whether images without a positive anchor are ignored."""
        return (self.negative_images or ("ignore" if self.mining == "image" else "mine")) == "ignore"

    def choose(self, losses: Any, background: Any, positives: Any) -> Any:
        """The negatives.

        Args:
            losses: (B, N) confidence losses.
            background: (B, N) bool, anchors that may be taken.
            positives: (B, N) bool.

        Returns:
            (B, N) bool.
        """
        counts = ops.sum(ops.cast(positives, "int32"), axis=1)  # (B,)
        if self.ignores_negative_images:
            background = ops.logical_and(background, counts[:, None] > 0)
        if self.mining is None:
            return background
        losses = ops.stop_gradient(losses)
        if self.mining == "batch":
            chosen = hardest(
                ops.reshape(losses, (1, -1)),
                ops.reshape(background, (1, -1)),
                self._wanted(ops.sum(counts, keepdims=True)),
            )
            return ops.reshape(chosen, ops.shape(background))
        return hardest(
            losses, background, self._wanted(counts if self.ignores_negative_images else at_least(counts, 1))
        )

    def _wanted(self, positives):
        wanted = ops.cast(ops.floor(ops.cast(positives, "float32") * self.neg_pos_ratio), "int32")
        return at_least(wanted, self.n_neg_min)


@checked_arguments
def hardest(losses: Any, candidates: Any, counts: Any) -> Any:
    """The `counts` candidates with the largest losses in each row; the first of equal losses.

    One sort finds the smallest loss to take, so shapes stay static. If `counts` is 0, the largest loss is the limit,
    and no candidate is taken.

    Args:
        losses: (G, M), above minus infinity; NaN counts as the largest loss, so that it is not hidden.
        candidates: (G, M) bool.
        counts: (G,) int32; rows with fewer candidates take all of them.

    Returns:
        (G, M) bool.
    """
    losses = ops.where(ops.isnan(losses), float("inf"), losses)
    losses = ops.where(candidates, losses, float("-inf"))
    counts = ops.minimum(counts, ops.sum(ops.cast(candidates, "int32"), axis=1))[:, None]  # (G, 1)
    last = ops.shape(losses)[1] - at_least(counts, 1)  # in ascending order
    limit = ops.take_along_axis(ops.sort(losses, axis=1), last, axis=1)
    above = losses > limit
    equal = losses == limit
    room = counts - ops.sum(ops.cast(above, "int32"), axis=1, keepdims=True)
    first = ops.cumsum(ops.cast(equal, "int32"), axis=1) <= room
    return ops.logical_or(above, ops.logical_and(equal, first))
