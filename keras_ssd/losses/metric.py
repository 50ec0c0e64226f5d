"""The parts of `SSDLoss` as a metric, so that `fit` shows them."""

from typing import Any, Self

import keras
from keras import ops

from keras_ssd.calling import checked_arguments
from keras_ssd.losses.ssd_loss import SSDLoss


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class SSDLossMetric(keras.metrics.Metric):
    """Three numbers from the tensors that `SSDLoss` gets, computed in one pass.

    - `localization_loss`, `confidence_loss`: their sum is the loss (without regularisation).
    - `positives`: anchors that are matched to an object, on average per image.

    Args:
        loss: the `SSDLoss` that is trained with; None for one with its defaults.
        name: Keras's.
        dtype: Keras's.

    Example:
        >>> loss = keras_ssd.SSDLoss(alpha=2)
        >>> model.compile("sgd", loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
        >>> sorted(model.fit(batches).history)
        ['confidence_loss', 'localization_loss', 'loss', 'positives']
    """

    def __init__(self, loss: SSDLoss | None = None, name: str = "ssd", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        if loss is not None and not isinstance(loss, SSDLoss):
            raise TypeError(f"`loss` must be an SSDLoss, the one that is trained with. Received: loss={loss!r}")
        self.loss = loss or SSDLoss()
        self.sums = {
            key: self.add_variable((), "zeros", dtype="float32", name=key)
            for key in ("images", "positives", "localization_loss", "confidence_loss")
        }

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: targets, as in `SSDLoss`.
            y_pred: raw predictions, as in `SSDLoss`.
            sample_weight: (B,) weights of the images in the two losses; None for 1.
        """
        terms = self.loss.terms(y_true, y_pred)
        weights = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        new = {
            "images": ops.shape(terms.positives)[0],
            "positives": ops.sum(ops.cast(terms.positives, "float32")),
            "localization_loss": ops.sum(terms.localization * weights),
            "confidence_loss": ops.sum(terms.confidence * weights),
        }
        for key, value in new.items():
            self.sums[key].assign(self.sums[key] + ops.cast(value, "float32"))

    def result(self) -> dict[str, Any]:
        """The three numbers by name."""
        images = self.sums["images"]
        per_image = ("localization_loss", "confidence_loss", "positives")
        return {key: ops.divide_no_nan(self.sums[key], images) for key in per_image}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
