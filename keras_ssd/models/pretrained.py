"""The start of a factory: its weights, their classes, and the classes of the model to build."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ssd import zoo
from keras_ssd.models.model import SSD
from keras_ssd.models.weights import (
    TrainedWeights,
    imagenet_arrays,
    named_as_given,
    read_weights,
    source_classes,
    without_gaps,
)
from keras_ssd.zoo.label_fitting import class_list
from keras_ssd.zoo.read import load_backbone_into, load_weights_into


@dataclass(frozen=True)
class Start:
    """The start of a factory; see `start_from`.

    Args:
        trained: `TrainedWeights`, or None for a new network.
        known: the classes of the trained heads, in order; None if all heads are new.
        classes: those of the model to build.
    """

    trained: TrainedWeights | None
    known: tuple[str, ...] | None
    classes: tuple[str, ...]

    @property
    def detector(self) -> TrainedWeights | None:
        """The `TrainedWeights` if they hold heads too, else None."""
        return None if self.known is None else self.trained

    def decoding_or(self, default: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Options of `DecodeDetections` of the trained heads, else the factory's own."""
        told = self.detector and self.detector.decoding
        return default if told is None else told

    def load_into(self, model: SSD) -> SSD:
        """Loads the weights, if any, heads sub-sampled by class name; returns the model with its `weights_report`."""
        if self.known is not None and self.trained is not None:
            model.weights_report = load_weights_into(model, self.trained.arrays, source_classes=self.known)
        elif self.trained is not None:
            model.weights_report = load_backbone_into(model, self.trained.arrays)
        return model


def start_from(
    weights: Any,
    classes: Sequence[str] | None,
    model: str,
    *,
    weights_classes: Sequence[str] | None = None,
    backbone: str | None = None,
) -> Start:
    """Combines `weights=` and `classes=` of a factory.

    Args:
        weights: as of `read_weights`, or None.
        classes: class names of the model to build; None for those of the weights.
        model: the factory's name, which the weights must be of.
        weights_classes: the classes of a weight file that does not state them.
        backbone: "vgg16" or "small_body" if weights of that backbone are accepted, with new heads.

    Raises:
        ValueError: weights of another network, neither weights nor classes, or unknown classes.
    """
    classes = None if classes is None else class_list("classes", classes)
    trained = None if weights is None else _read(weights, model, backbone)
    if trained is not None and (trained.kind is None or trained.kind not in (model, backbone)):
        layers = list(trained.arrays.layers)
        raise ValueError(
            f"{trained.arrays.source} holds {trained.kind or 'an unknown network'}, not {model}: {len(layers)} layers, "
            f"among them {', '.join(layers[:4])}. Use the factory of that network."
        )
    if trained is None or trained.kind == backbone:
        if classes is None:
            raise ValueError(
                f"{model}() needs `classes=[...]`, names without background, where no weights tell them; trained "
                f"detectors do. Received: weights={trained and trained.arrays.source!r}, classes=None."
            )
        return Start(trained, None, classes)
    trained = without_gaps(trained) if weights_classes is None else named_as_given(trained, weights_classes)
    known = source_classes(trained, classes)
    return Start(trained, known, known if classes is None else classes)


def _read(weights, model, backbone):
    if weights == "imagenet" and backbone == "vgg16":
        return imagenet_arrays()
    if backbone is not None and any(weights in (entry.tag, entry.name) for entry in zoo.entries(model=backbone)):
        return read_weights(weights, model=backbone)
    return read_weights(weights, model=model)
