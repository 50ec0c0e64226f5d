"""The settings of a training besides model and data: plain numbers and names."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras

from keras_ssd.data.dataset import Dataset
from keras_ssd.losses import SSDLoss
from keras_ssd.models.model import SSD
from keras_ssd.training import recipes

PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Two trainings with equal settings, data and starting weights end with equal weights.

    Args:
        epochs: passes through the images.
        batch_size: images a step.
        recipe: "caffe", "modern" or "small-data", see `keras_ssd.recipes`; or a function from the number of all
            steps to a Keras optimizer.
        learning_rate: the recipe's highest learning rate; None for its own.
        augment: a chain's name, a `Block`, or None.
        seed: of images' order and augmentation.
        precision: "float32", or "mixed_bfloat16": weights in float32, products in bfloat16.
        qat: quantisation-aware training: the network computes as its int8 file will.

    Raises:
        ValueError: a number out of range, or an unknown name.
    """

    epochs: int
    batch_size: int
    recipe: Any = "small-data"
    learning_rate: float | None = None
    augment: Any = "light"
    seed: int = 0
    precision: str = "float32"
    qat: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"`{name}` must be a whole number from 1 on. Received: {name}={value!r}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive. Received: learning_rate={self.learning_rate!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {self.precision!r}")
        if self.qat and self.precision != "float32":
            raise ValueError(
                "`qat` needs `precision='float32'`: bfloat16 is as coarse as the levels that the training is to learn "
                f"with. Received: qat=True, precision={self.precision!r}"
            )
        if not callable(self.recipe):
            recipes.named(self.recipe)
        elif self.learning_rate is not None:
            raise ValueError("`learning_rate` is for a recipe by name; a function sets its own. Leave one of them out.")

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """The recipe's optimizer for so many steps in all."""
        if callable(self.recipe):
            return self.recipe(steps)
        return recipes.named(self.recipe)(
            steps, **({} if self.learning_rate is None else {"learning_rate": self.learning_rate})
        )

    def loss(self, decoding: Mapping[str, Any]) -> SSDLoss:
        """The recipe's loss for a model with these decoder options (`SSD.decoding`)."""
        options = {key: decoding[key] for key in ("code_type", "variance_encoded_in_target") if key in decoding}
        scores = decoding.get("scores", "softmax")
        options |= {"confidence": "sigmoid"} if scores == "sigmoid" else {}
        if scores == "sigmoid" and self.recipe != "caffe":
            # No decoder reads the background's column, and TensorFlow's weights have "no" in it everywhere: made to say
            # "yes" on background, it destroys what the network has learnt.
            options["score_background"] = False
        options |= {"from_logits": False} if scores == "probabilities" else {}
        # The original takes no negatives from images without objects. With few images each one counts.
        options |= {} if self.recipe == "caffe" else {"n_neg_min": 10, "negative_images": "mine"}
        return SSDLoss(**options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, to decide whether a training may be resumed; objects as their representation."""
        values = dataclasses.asdict(self)
        for name in ("recipe", "augment"):
            value = values[name] = getattr(self, name)
            if not (value is None or isinstance(value, str)):
                values[name] = getattr(value, "__qualname__", None) or repr(value)
        if not self.qat:  # which checkpoints of earlier versions do not know
            del values["qat"]
        return values


def identity(
    model: SSD, train_set: Dataset, validation_set: Dataset | None, settings: Settings, loss: keras.losses.Loss
) -> dict[str, Any]:
    """What must be the same for a training to go on: dictionary of plain values.

    Args:
        model: `SSD`.
        train_set, validation_set: `Dataset`s; the second may be None.
        settings: `Settings`.
        loss: the Keras loss.
    """
    return {
        **settings.to_dict(),
        "loss": _digest(json.dumps(keras.losses.serialize(loss), default=str, sort_keys=True)),
        "model": f"{model.name}, anchors {_digest(json.dumps(model.anchor_spec.to_dict()))}",
        "training set": images_digest(train_set),
        "validation set": "none" if validation_set is None else images_digest(validation_set),
    }


def images_digest(dataset: Dataset) -> str:
    """A text that is the same for the same images and boxes in the same order."""
    digest = hashlib.sha256(json.dumps(dataset.classes).encode())
    for annotation in dataset:
        digest.update(annotation.name.encode())
        for array in (annotation.boxes_xyxy, annotation.class_ids, annotation.difficult):
            digest.update(array.tobytes())
    return f"{len(dataset)} images, {digest.hexdigest()[:16]}"


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]
