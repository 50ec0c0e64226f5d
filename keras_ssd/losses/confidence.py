"""The loss of the class scores of each anchor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_ssd.box_coder import NO_BACKGROUND, NO_BACKGROUND_IN_BFLOAT16
from keras_ssd.calling import checked_arguments
from keras_ssd.losses.checks import check_choice, number

ACTIVATIONS = ("softmax", "sigmoid")
# -log of the smallest normal float32: Caffe takes the logarithm of max(probability, FLT_MIN).
LARGEST_SOFTMAX_LOSS = 87.33654475055310898657
SMALLEST_PROBABILITY = 1e-15  # ssd_keras's; a smaller one would make gradients that overflow
SMALLEST_FOCAL_BASE = 1e-12  # a power below 1 has no gradient at 0
LARGEST_LOGIT = 1e30  # the difference of two infinities is NaN, and a sum of many must still be finite


@checked_arguments
@dataclass(frozen=True)
class ConfidenceLoss:
    """Cross-entropy of the class scores of each anchor.

    Args:
        activation: "softmax" (one decision between background and classes) or "sigmoid" (a decision for each of the
            C + 1 columns, including the background: Caffe's LOGISTIC). With "sigmoid" a background column that the
            model only fills in (`keras_ssd.box_coder.NO_BACKGROUND`) has no loss.
        from_logits: scores are raw; False for probabilities.
        label_smoothing: 0..1, the share of the target that is spread evenly over all columns ("softmax") or moved
            towards one half ("sigmoid").
        focal_gamma: if above 0, each term is multiplied by (1 - p)^gamma, where p is the probability of the true
            class (focal loss). Terms that are already right then hardly count.
        focal_alpha: 0..1, weight of objects, against 1 - alpha for background; None for no such weights.
        class_weights: C weights without the background, whose weight is 1; None for no weights.
        score_background: False if background means "none of the classes" and its column has no meaning, as in
            TensorFlow's detectors: the column then has no loss. Only with "sigmoid".

    Raises:
        ValueError: an unknown activation, or a number outside its range.

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/softmax_loss_layer.cpp, sigmoid_cross_entropy_loss_layer.cpp;
    Lin et al., Focal Loss for Dense Object Detection (2017), section 3.
    """

    activation: str = "softmax"
    from_logits: bool = True
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_alpha: float | None = None
    class_weights: Sequence[float] | None = None
    score_background: bool = True

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, ACTIVATIONS)
        set_value = object.__setattr__
        if not (self.score_background or self.activation == "sigmoid"):
            raise ValueError(
                "`score_background=False` goes with `confidence='sigmoid'`: a softmax needs the background's column. "
                f"Received: confidence={self.activation!r}"
            )
        set_value(self, "label_smoothing", number("label_smoothing", self.label_smoothing, below=1))
        set_value(self, "focal_gamma", number("focal_gamma", self.focal_gamma))
        if self.focal_alpha is not None:
            set_value(self, "focal_alpha", number("focal_alpha", self.focal_alpha, below=1))
        if self.class_weights is not None:
            weights = tuple(number(f"class_weights[{i}]", w) for i, w in enumerate(self.class_weights))
            set_value(self, "class_weights", weights)

    def __call__(self, scores: Any, class_ids: Any) -> Any:
        """The loss of each anchor.

        Args:
            scores: (B, N, C + 1), background first; finite or infinite.
            class_ids: (B, N) integers 0..C.

        Returns:
            (B, N), finite and not negative, without `class_weights`.
        """
        columns = ops.arange(scores.shape[-1], dtype=class_ids.dtype)
        is_true = ops.equal(class_ids[..., None], columns)  # (B, N, C + 1)
        if self.activation == "softmax":
            return self._softmax(scores, is_true, class_ids)
        return self._sigmoid(scores, is_true)

    def weights_of(self, class_ids: Any, num_classes: int) -> Any:
        """(B, N) class weights, or None.

        Raises:
            ValueError: there is not one weight per class.
        """
        if self.class_weights is None:
            return None
        if len(self.class_weights) != num_classes:
            raise ValueError(
                f"`class_weights` needs one number for each of the model's {num_classes} classes, background not "
                f"counted. Received: {len(self.class_weights)} numbers, class_weights={self.class_weights}"
            )
        return ops.take(ops.convert_to_tensor((1.0, *self.class_weights), dtype="float32"), class_ids)

    def _softmax(self, scores, is_true, class_ids):
        if self.from_logits:
            losses = -ops.log_softmax(ops.clip(scores, -LARGEST_LOGIT, LARGEST_LOGIT), axis=-1)
        else:
            losses = -ops.log(ops.clip(scores, SMALLEST_PROBABILITY, 1.0))
        true_loss = ops.sum(ops.where(is_true, losses, 0.0), axis=-1)  # (B, N)
        result = capped(true_loss)
        if self.label_smoothing:
            spread = ops.mean(capped(losses), axis=-1)
            result = (1 - self.label_smoothing) * result + self.label_smoothing * spread
        if self.focal_gamma:
            result = result * ops.power(ops.maximum(-ops.expm1(-true_loss), SMALLEST_FOCAL_BASE), self.focal_gamma)
        if self.focal_alpha is not None:
            result = result * ops.where(class_ids > 0, self.focal_alpha, 1 - self.focal_alpha)
        return result

    def _sigmoid(self, scores, is_true):
        exists = _computed(scores, self.score_background)
        target = ops.cast(is_true, scores.dtype)
        smooth = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            scores = ops.clip(scores, -LARGEST_LOGIT, LARGEST_LOGIT)
            losses = ops.softplus(scores) - scores * smooth
            wrong = ops.sigmoid(ops.where(is_true, -scores, scores))
        else:
            scores = ops.clip(scores, 0.0, 1.0)
            inverse = ops.maximum(1 - scores, SMALLEST_PROBABILITY)
            losses = -smooth * ops.log(ops.maximum(scores, SMALLEST_PROBABILITY)) - (1 - smooth) * ops.log(inverse)
            wrong = ops.where(is_true, 1 - scores, scores)
        if self.focal_gamma:
            losses = losses * ops.power(ops.maximum(wrong, SMALLEST_FOCAL_BASE), self.focal_gamma)
        if self.focal_alpha is not None:
            losses = losses * ops.where(is_true, self.focal_alpha, 1 - self.focal_alpha)
        return ops.sum(ops.where(exists, losses, 0.0), axis=-1)


def _computed(scores, score_background):
    """(B, N, C + 1) bool: False for a background column that costs nothing, by choice or because the model fills it
    in where its network has none."""
    background = scores[..., :1]
    filled = ops.logical_or(ops.equal(background, NO_BACKGROUND), ops.equal(background, NO_BACKGROUND_IN_BFLOAT16))
    if not score_background:
        filled = ops.ones_like(filled)
    return ops.concatenate([ops.logical_not(filled), ops.ones_like(scores[..., 1:], dtype="bool")], axis=-1)


def capped(losses: Any) -> Any:
    """Losses of at most `LARGEST_SOFTMAX_LOSS`; the gradient is not cut, so that large losses still teach."""
    excess = losses - ops.stop_gradient(losses)  # 0, with the gradient of the loss
    return ops.where(losses > LARGEST_SOFTMAX_LOSS, LARGEST_SOFTMAX_LOSS + excess, losses)
