"""The loss of SSD as one Keras loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_ssd import box_coder, fastpaths
from keras_ssd.box_coder import BACKGROUND, Predictions, Targets
from keras_ssd.calling import checked_arguments
from keras_ssd.losses.checks import check_choice, number
from keras_ssd.losses.confidence import ConfidenceLoss
from keras_ssd.losses.localization import LOCALIZATIONS, Coder, localization_loss
from keras_ssd.losses.mining import HardNegatives

NORMALIZATIONS = ("valid", "full", "batch_size", "none")


@dataclass(frozen=True)
class LossTerms:
    """The parts of `SSDLoss` for each image.

    The values are scaled so that their mean over the batch is the loss.

    Args:
        localization: (B,), `alpha` included.
        confidence: (B,).
        positives: (B, N) bool, anchors that are matched to an object.
        negatives: (B, N) bool, background anchors that count.
    """

    localization: Any
    confidence: Any
    positives: Any
    negatives: Any

    @property
    def total(self) -> Any:
        """(B,) the whole loss."""
        return self.localization + self.confidence


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class SSDLoss(keras.losses.Loss):
    """The sum of confidence and localisation loss, with hard negatives: Caffe's MultiBoxLoss.

    An anchor is positive (matched to an object), background or neutral. Positive anchors have a loss of class and box.
    Of the background anchors only those with the largest loss count, `neg_pos_ratio` for each positive anchor. Neutral
    anchors never count. The defaults are those of the original. The loss of ssd_keras is
    `SSDLoss(from_logits=False, mining="batch")`.

    Args:
        from_logits: the class columns are raw scores; False for models that end in a softmax.
        confidence: "softmax" or "sigmoid", see `keras_ssd.losses.ConfidenceLoss`.
        localization: "smooth_l1", "l1", "l2", "giou", "diou" or "ciou", see `keras_ssd.losses.localization_loss`.
        alpha: weight of the localisation loss.
        mining: "image" (Caffe), "batch" (ssd_keras; with several replicas, each replica's part of the batch), or None:
            every background anchor counts, as focal loss requires.
        neg_pos_ratio: negatives for each positive.
        n_neg_min: minimum number of negatives per image, or per batch.
        negative_images: "ignore" or "mine" images without positives, see `keras_ssd.losses.HardNegatives`.
        normalization: what the sum is divided by: "valid" positives of the batch (at least 1), "full" anchors,
            "batch_size" images, or "none".
        label_smoothing: 0..1, taken from the true class and spread over all.
        focal_gamma: above 0 for focal loss (2 is usual, with `mining=None`).
        focal_alpha: 0..1, weight of objects against 1 - alpha for background; None for no such weight.
        class_weights: C factors of the confidence loss of each class, background not counted.
        score_background: False if "sigmoid" has a background column without meaning, see `ConfidenceLoss`.
        code_type: how offsets are coded, see `keras_ssd.box_coder.decode`; only losses of boxes use it.
        variance_encoded_in_target: offsets already include the variances; only losses of boxes use it.
        reduction: Keras's. Except for "sum", the share of each image is multiplied by the batch size, so that Keras's
            mean gives the loss and `sample_weight` (B,) weights images; None returns the shares (B,).
        name: Keras's.
        dtype: Keras's; at least float32 for every dtype policy.

    Called with `y_true`, targets (B, N, 1 + 4) or one-hot targets of ssd_keras (B, N, C + 1 + 12), see
    `keras_ssd.box_coder.Targets`; and `y_pred`, raw predictions (B, N, C + 1 + 12).

    Several replicas that train one batch (`tf.distribute`, `keras.distribution`, `torch.distributed`) divide by the
    positives of the whole batch, so the gradient is the same as on one device. Loss and gradient are
    finite if no image has an object, and for any scores; only offsets of a positive anchor near the largest float can
    make the loss infinite.

    Caffe's HARD_EXAMPLE mining, suppression among negatives, matching by predicted boxes, and variances in targets
    (with a wrong gradient in Caffe) are not supported.

    Raises:
        ValueError: an unknown choice or a number outside its range; when called, shapes that do not fit together.

    Example:
        >>> loss = keras_ssd.SSDLoss()
        >>> model.compile("sgd", loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/multibox_loss_layer.cpp; Liu et al. (2016), section 2.2.
    """

    def __init__(
        self,
        *,
        from_logits: bool = True,
        confidence: str = "softmax",
        localization: str = "smooth_l1",
        alpha: float = 1.0,
        mining: str | None = "image",
        neg_pos_ratio: float = 3.0,
        n_neg_min: int = 0,
        negative_images: str | None = None,
        normalization: str = "valid",
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        focal_alpha: float | None = None,
        class_weights: Sequence[float] | None = None,
        score_background: bool = True,
        code_type: str = "center_size",
        variance_encoded_in_target: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ssd_loss",
        dtype: Any = None,
    ):
        # Coordinates and losses need float32, for every default of Keras.
        super().__init__(name=name, reduction=reduction, dtype=dtype or _at_least_float32(keras.config.floatx()))
        check_choice("confidence", confidence, ("softmax", "sigmoid"))
        check_choice("localization", localization, LOCALIZATIONS)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.coder = Coder(code_type, bool(variance_encoded_in_target))
        self.confidence = ConfidenceLoss(
            confidence,
            bool(from_logits),
            label_smoothing,
            focal_gamma,
            focal_alpha,
            class_weights,
            bool(score_background),
        )
        self.negatives = HardNegatives(mining, neg_pos_ratio, n_neg_min, negative_images)
        self.localization = localization
        self.alpha = number("alpha", alpha)
        self.normalization = normalization

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.terms(y_true, y_pred).total

    def terms(self, y_true: Any, y_pred: Any) -> LossTerms:
        """The `LossTerms` of a batch; arguments as when called."""
        predictions, targets = self.split(y_true, y_pred)
        positives = targets.class_ids > 0
        background = ops.equal(targets.class_ids, BACKGROUND)
        negatives, confidence = self._confidence(predictions, targets.class_ids, positives, background)
        localization = localization_loss(self.localization, predictions, targets.offsets, positives, self.coder)
        factor = ops.cast(self._factor(positives), localization.dtype)
        return LossTerms(
            ops.sum(localization, axis=1) * factor * self.alpha,
            ops.sum(confidence, axis=1) * factor,
            positives,
            negatives,
        )

    def split(self, y_true: Any, y_pred: Any) -> tuple[Predictions, Targets]:
        """Predictions and targets in at least float32, class ids as integers.

        Raises:
            ValueError: shapes that don't belong together.
        """
        y_true, y_pred = _tensor(y_true), _tensor(y_pred)
        _check_shapes(y_true, y_pred)
        dtype = _at_least_float32(keras.backend.standardize_dtype(y_pred.dtype))
        targets = Targets.split(ops.cast(y_true, dtype), ops)
        return (
            Predictions.split(ops.cast(y_pred, dtype)),
            Targets(ops.cast(targets.class_ids, "int32"), targets.offsets),
        )

    def get_config(self) -> dict[str, Any]:
        confidence = dict(vars(self.confidence))
        return {
            **super().get_config(),
            "dtype": self.dtype,
            "confidence": confidence.pop("activation"),
            **confidence,
            **vars(self.negatives),
            "localization": self.localization,
            "alpha": self.alpha,
            "normalization": self.normalization,
            **vars(self.coder),
        }

    def _confidence(self, predictions, class_ids, positives, background):
        """Negatives (B, N), and the confidence loss (B, N) of what counts."""
        counts = ops.logical_or(positives, background)
        scores = ops.where(counts[..., None], predictions.logits, 0.0)  # neutral anchors may hold anything
        class_ids = fastpaths.at_least(class_ids, 0)
        losses = self.confidence(scores, class_ids)
        negatives = self.negatives.choose(losses, background, positives)
        weights = self.confidence.weights_of(class_ids, predictions.num_classes)
        if weights is not None:
            losses = losses * ops.cast(weights, losses.dtype)
        return negatives, ops.where(ops.logical_or(positives, negatives), losses, 0.0)

    def _factor(self, positives):
        """The factor from the sum of an image to its share of the loss: batch size / normaliser."""
        batch, anchors = ops.shape(positives)[0], ops.shape(positives)[1]
        batch = ops.cast(batch, "float32")
        total = {
            "valid": lambda: ops.cast(ops.sum(ops.cast(positives, "int32")), "float32"),
            "full": lambda: batch * ops.cast(anchors, "float32"),
            "batch_size": lambda: batch,
            "none": None,
        }[self.normalization]
        replicas = fastpaths.num_replicas()
        total = ops.maximum(fastpaths.sum_over_replicas(total()), 1.0) if total else 1.0
        if self.reduction == "sum":
            return 1.0 / total
        return batch * (replicas / total)


def _at_least_float32(dtype):
    return "float64" if dtype == "float64" else "float32"


def _tensor(values):
    """A tensor of the dtype of the values; Python's numbers become float32, as Keras's default may be too coarse."""
    return ops.convert_to_tensor(values, None if hasattr(values, "dtype") else "float32")


def _check_shapes(y_true, y_pred):
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    wide = len(true) == 3 and true[-1] is not None and true[-1] != box_coder.NUM_TARGET_COLUMNS
    fits = len(true) == len(pred) == 3 and (None in (true[1], pred[1]) or true[1] == pred[1])
    if len(true) == len(pred) == 3 and pred[-1] == 6:
        # Raw predictions have 13 columns and more
        raise ValueError(
            "SSDLoss trains on raw predictions (B, N, C + 1 + 12), and the model ends in a decoder, whose rows are "
            "detections (B, K, 6). Train the raw model, the one that was given to keras_ssd.with_decoder. "
            f"Received: y_true.shape={true}, y_pred.shape={pred}"
        )
    if not fits or (wide and true[-1] != pred[-1]):
        raise ValueError(
            "SSDLoss compares targets (B, N, 5), or one-hot targets (B, N, C + 1 + 12), with raw predictions "
            "(B, N, C + 1 + 12) of as many anchors and classes. Targets are made for one model; make them with its own "
            f"anchors and classes. Received: y_true.shape={true}, y_pred.shape={pred}"
        )
