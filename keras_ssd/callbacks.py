"""Callbacks for `fit`."""

from typing import Any

import keras

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation import evaluate
from keras_ssd.evaluation.collecting import class_names_of, no_detections
from keras_ssd.evaluation.result import Result


@checked_arguments
class Evaluate(keras.callbacks.Callback):
    """Measures the detector on a dataset after an epoch, and adds the result to the logs.

    The logs get `val_mAP`, 0..1, and `val_AP <class>` of each class, NaN for a class without objects. Callbacks that
    read them must come after this one, with `mode="max"`, because Keras does not know that more is better. Epochs
    without a measurement repeat the last values; count the patience of `EarlyStopping` in epochs.

    Args:
        dataset: `keras_ssd.data.Dataset`.
        measure: see `keras_ssd.evaluation.evaluate`.
        every: epochs between measurements; the first is after epoch `every`.
        iou_threshold, confidence, batch_size: see `keras_ssd.evaluation.evaluate`.
        model: the model to measure, such as one with averaged weights; None is the trained one.

    Attributes:
        result: the last `keras_ssd.evaluation.Result`, or None.

    Raises:
        ValueError: `every` is not a whole number of at least 1. When `fit` starts: as `keras_ssd.evaluation.evaluate`.

    Example:
        >>> model.fit(
        ...     keras_ssd.data.batches(train, model),
        ...     epochs=60,
        ...     callbacks=[
        ...         keras_ssd.callbacks.Evaluate(val, every=2),
        ...         keras.callbacks.ModelCheckpoint("best.keras", "val_mAP", save_best_only=True, mode="max"),
        ...     ],
        ... )
    """

    dataset: Dataset
    measure: str
    every: int
    options: dict[str, Any]
    measured_model: keras.Model | None
    result: Result | None

    def __init__(
        self,
        dataset: Dataset,
        measure: str = "voc12",
        *,
        every: int = 1,
        iou_threshold: float = 0.5,
        confidence: float = 0.01,
        batch_size: int = 8,
        model: keras.Model | None = None,
    ) -> None:
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"`every` must be a whole number of epochs from 1 on. Received: every={every!r}")
        self.dataset, self.measure, self.every = dataset, measure, every
        self.options = {"iou_threshold": iou_threshold, "confidence": confidence, "batch_size": batch_size}
        self.measured_model = model
        self.result = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Shows now what would fail after the first epochs.
        nothing = no_detections(self.dataset, class_names_of(self._measured))
        evaluate(nothing, self.dataset, self.measure, iou_threshold=self.options["iou_threshold"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every == 0:
            self.result = evaluate(
                self._measured, self.dataset, self.measure, progress=False, engine="keras", **self.options
            )
        if self.result is not None and logs is not None:
            logs["val_mAP"] = self.result.map
            logs.update({f"val_AP {name}": value for name, value in self.result.per_class.items()})

    @property
    def _measured(self):
        return self.model if self.measured_model is None else self.measured_model
