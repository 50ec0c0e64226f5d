"""The model that is examined: images at its input size, their annotations if known, and what the model answers."""

import copy
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import DecodeOptions, decode_arrays
from keras_ssd.decoding.arrays import SCORING
from keras_ssd.evaluation import measure
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable
from keras_ssd.images import resize_bilinear
from keras_ssd.layers import AnchorBoxes

if TYPE_CHECKING:
    from keras_ssd.data.annotation import Annotation

BATCH = 8
NOISE = 4  # made-up images where none are given
SURE = 0.5  # score from which a detection counts as one
LEAST = 0.02  # lowest score that is looked at
FAR = 20.0  # offsets beyond this are no boxes any more, whatever the anchors


class Probe:
    """A model and images, ready for experiments.

    Args:
        model: `SSD` of raw predictions or with its decoder.
        images: list of (H, W, 3) uint8 RGB arrays; none for made-up ones.
        truth: list of `Annotation`s of these images whose class ids are the model's, or None.
    """

    model: Any
    given: bool
    sizes_hw: list[tuple[int, int]]
    truth: "list[Annotation] | None"
    network: Any
    inputs: np.ndarray
    options: DecodeOptions

    def __init__(self, model: Any, images: Sequence[np.ndarray] = (), truth: "list[Annotation] | None" = None) -> None:
        self.model = model
        self.given = bool(len(images))
        self.sizes_hw = [image.shape[:2] for image in images]
        self.truth = truth
        anchors = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
        self.network = keras.Model(model.inputs[0], anchors[0].output) if model.has_decoder else model
        if self.given:
            self.inputs = np.stack([resize_bilinear(image, model.input_size) for image in images])
            self.inputs = self.inputs.astype(np.float32)
        else:
            self.inputs = np.random.default_rng(0).uniform(0, 255, (NOISE, *model.input_size, 3)).astype(np.float32)
        self.options = DecodeOptions(**{**model.decoding, "confidence_threshold": LEAST})

    def first(self, count: int) -> "Probe":
        """The same with the first images alone."""
        few = copy.copy(self)
        for name in ("raw", "probabilities", "_objects"):
            few.__dict__.pop(name, None)
        few.inputs, few.sizes_hw = self.inputs[:count], self.sizes_hw[:count]
        few.truth = None if self.truth is None else self.truth[:count]
        return few

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Raw predictions (n, N, C + 1 + 12) as numpy."""
        batches = [self.network.predict_on_batch(inputs[at : at + BATCH]) for at in range(0, len(inputs), BATCH)]
        return np.concatenate([np.asarray(batch, np.float32) for batch in batches])

    @functools.cached_property
    def raw(self) -> np.ndarray:
        """What the model answers as it is."""
        return self.predict(self.inputs)

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """(n, N, C + 1) scores of the answer, background first."""
        return SCORING[self.options.kind_of_scores(True)](Predictions.split(self.raw).logits)

    def rows(self, raw: np.ndarray, anchors_cxcywh: ArrayLike | None = None) -> np.ndarray:
        """Decoded (n, K, 6) rows of raw predictions, in fractions of the image; with other anchors if given."""
        parts = Predictions.split(raw)
        anchors = (
            parts.anchors_cxcywh if anchors_cxcywh is None else np.broadcast_to(anchors_cxcywh, parts.offsets.shape)
        )
        offsets = np.clip(np.nan_to_num(parts.offsets), -FAR, FAR)
        logits = np.nan_to_num(parts.logits)
        return decode_arrays(Predictions(logits, offsets, anchors, parts.variances).join(), self.options)

    def worth(self, rows: np.ndarray) -> float:
        """How good an answer looks: the mean AP at IoU 0.5 where the truth is known, else its sure detections.

        The latter is the sum of the scores above 0.5 per image. A network is surer of images that look as those it was
        trained on.
        """
        if self.truth is None:
            sure = np.where((rows[..., 0] >= 0) & (rows[..., 1] >= SURE), rows[..., 1], 0)
            return float(sure.sum() / len(rows))
        return float(np.nan_to_num(measure(self._table(rows), self._objects, "voc12").map))

    def answer(self, inputs: np.ndarray) -> float:
        """The worth of what the model finds in other inputs."""
        return self.worth(self.rows(self.predict(inputs)))

    def better(self, found: float, before: float) -> bool:
        """Whether an experiment's worth is so much more than the one before that it is no accident."""
        return found > 1.3 * before + (0.1 if self.truth is not None else 0.5)

    def told(self, worth: float) -> str:
        """A worth in words."""
        if self.truth is not None:
            return f"AP {worth:.2f}"
        return f"{worth:.1f} sure detections per image"

    @functools.cached_property
    def _objects(self):
        truth = self.truth or ()
        columns = ("boxes_xyxy", "class_ids", "difficult", "truncated", "crowd", "areas")
        return ObjectTable(
            self._names,
            self.model.class_names,
            np.array(self.sizes_hw),
            np.repeat(np.arange(len(truth)), [len(one) for one in truth]),
            **{name: np.concatenate([getattr(one, name) for one in truth]) for name in columns},
        )

    @property
    def _names(self):
        return tuple(str(place) for place in range(len(self.inputs)))

    def _table(self, rows):
        image, place = np.nonzero(rows[..., 0] >= 0)
        found = rows[image, place]
        height, width = np.array(self.sizes_hw, np.float32)[image].T
        boxes = found[:, 2:].clip(0, 1) * np.stack([width, height, width, height], axis=1)
        return DetectionTable(self._names, self.model.class_names, image, found[:, 0], found[:, 1], boxes)
