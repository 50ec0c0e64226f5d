"""Preprocessing layers of Keras and of KerasCV as blocks."""

import dataclasses
import threading
from typing import Any

import numpy as np

from keras_ssd.data.augment.block import Block, Others
from keras_ssd.data.augment.labels import Labels
from keras_ssd.data.augment.steps import Opaque, Track
from keras_ssd.data.sample import Sample

_FORMATS = ("rel_xyxy", "xyxy")
# What images with a marked object showed of Keras 3.12 to 3.15, on all backends.
_TURNING = ("RandomRotation", "RandomPerspective")  # they take "rel_xyxy" for pixels
_MOVING = (*_TURNING, "RandomFlip", "RandomTranslation", "RandomZoom")
_ASTRAY = {
    "RandomCrop": "its boxes do not follow its pixels. Use RandomPatch or BatchSampler",
    "RandomShear": "its boxes are off by up to 4 % of the image",
    "RandomElasticTransform": "it bends pixels and cannot move boxes",
    "RandAugment": "it shears, turns and shifts pixels, and its boxes do not follow",
    "AugMix": "it shears, turns and shifts pixels and leaves the boxes, and follows no generator",
}
_ONE_AT_A_TIME = threading.Lock()  # a layer holds the state of its random numbers


@dataclasses.dataclass(frozen=True)
class KerasLayer(Block):
    """A box-aware preprocessing layer of Keras (`keras.layers.RandomRotation`, ...) or of KerasCV as a block.

    The layer's random numbers follow from the sample's generator as far as the layer lets them: `seeded` tells. Boxes
    cannot be taken back through a foreign layer.

    Args:
        layer: it is called with {"images": (1, H, W, 3) float32 0..255, "bounding_boxes": {...}} and `training=True`.
            Its `bounding_box_format` must be "rel_xyxy" or "xyxy".
        boxes: False for layers that move nothing and take no boxes, such as Keras's colour layers: they get the
            image alone.

    Raises:
        TypeError: `layer` is a class, or not callable.
        ValueError: the layer's format of boxes is none or another, or boxes would not follow its pixels: Keras's
            `RandomCrop`, `RandomShear`, `RandomElasticTransform`, `RandAugment` and `AugMix`, its `RandomRotation` and
            `RandomPerspective` with "rel_xyxy", and any that moves pixels with boxes=False.

    Example:
        >>> block = KerasLayer(keras.layers.RandomFlip(bounding_box_format="rel_xyxy"))
        >>> block.seeded
        True
    """

    layer: Any
    boxes: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.layer) or isinstance(self.layer, type):
            raise TypeError(f"KerasLayer takes a layer, made and not its class. Received: layer={self.layer!r}")
        if self.boxes and self._format not in _FORMATS:
            raise ValueError(
                f'Make {type(self.layer).__name__} with bounding_box_format="rel_xyxy" or "xyxy"; or, if it moves '
                f"nothing, KerasLayer with boxes=False. Received: bounding_box_format={self._format!r}"
            )
        for layer in _layers_in(self.layer):
            self._check(layer)

    def _check(self, layer):
        """Raises ValueError where Keras would leave boxes elsewhere than the pixels."""
        name = type(layer).__name__
        if not type(layer).__module__.startswith("keras."):  # KerasCV's of the same names do it right
            return
        if name in _ASTRAY:
            raise ValueError(f"Keras's {name} cannot be in a chain: {_ASTRAY[name]}. Received: layer={self.layer!r}")
        if self.boxes and name in _TURNING and layer.bounding_box_format != "xyxy":
            raise ValueError(
                f'Keras\'s {name} takes relative boxes for pixels. Make it with bounding_box_format="xyxy". '
                f"Received: bounding_box_format={layer.bounding_box_format!r}"
            )
        if not self.boxes and name in _MOVING:
            raise ValueError(
                f'Keras\'s {name} moves boxes too. Make it with bounding_box_format="xyxy", and KerasLayer with '
                "boxes=True. Received: boxes=False"
            )

    @property
    def _format(self):
        return getattr(self.layer, "bounding_box_format", None)

    @property
    def opaque(self) -> bool:
        return True

    @property
    def seeded(self) -> bool:
        """Whether the layer has generators that are set anew for each sample.

        Some layers of KerasCV draw elsewhere besides, so for KerasCV this is False, though most of its layers that were
        made with a `seed` do follow.
        """
        return bool(self._reseeding()) and not self._of_keras_cv

    @property
    def _of_keras_cv(self):
        return type(self.layer).__module__.partition(".")[0] == "keras_cv"

    def _reseeding(self):
        """Functions of two numbers that set the generators of the layer and of the layers in it."""
        import keras

        functions = []
        for layer in _layers_in(self.layer):
            for held in _flat(vars(layer).values()):
                if isinstance(held, keras.random.SeedGenerator):
                    functions.append(lambda seed, state=held.state: state.assign(seed.astype(state.dtype)))
                # Without a seed, layers of KerasCV share TensorFlow's global generator, which is not ours to set.
                elif hasattr(held, "reset_from_seed") and getattr(layer, "seed", None) is not None:
                    functions.append(lambda seed, generator=held: generator.reset_from_seed(int(seed[0])))
        return functions

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        labels = Labels.of(sample)
        inputs = np.asarray(sample.image, np.float32)[None]
        if self.boxes:
            inputs = {"images": inputs, "bounding_boxes": self._boxes_in(labels)}
        seed = rng.integers(2**31, size=2)
        with _ONE_AT_A_TIME:
            for reseed in self._reseeding():
                reseed(seed)
            result = self.layer(inputs, training=True)
        image = _array(result["images"] if self.boxes else result)[0]
        image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
        if self.boxes:
            labels = self._boxes_out(result["bounding_boxes"], image.shape[:2], labels)
        elif image.shape[:2] != labels.size_hw:
            raise ValueError(
                f"{type(self.layer).__name__} changed the image from {labels.size_hw} to {image.shape[:2]} pixels, "
                "so it moves boxes too. Make KerasLayer with boxes=True."
            )
        return labels.put_into(sample, image), Track((Opaque(type(self.layer).__name__),))

    @property
    def _class_key(self):
        return "classes" if self._of_keras_cv else "labels"

    def _boxes_in(self, labels):
        """Boxes in the layer's format. Instead of classes they carry their place, to be known again afterwards."""
        places, boxes = np.arange(len(labels), dtype=np.float32), labels.boxes_xyxy
        if not len(labels):  # layers fail over a batch without boxes; what becomes of this one is not looked at
            places, boxes = np.zeros(1, np.float32), np.array([[0, 0, 1, 1]], np.float32)
        if self._format == "xyxy":
            boxes = boxes * np.array([*labels.size_hw[::-1]] * 2, np.float32)
        return {"boxes": boxes[None], self._class_key: places[None]}

    def _boxes_out(self, bounding_boxes, size_hw, labels):
        if not len(labels):
            return dataclasses.replace(labels, size_hw=size_hw)
        places = _array(bounding_boxes[self._class_key])[0]
        boxes = _array(bounding_boxes["boxes"])[0].astype(np.float32)
        real = places >= 0  # layers fill up with -1
        places, boxes = np.rint(places[real]).astype(np.intp), boxes[real]
        if self._format == "xyxy":
            boxes = boxes / np.array([*size_hw[::-1]] * 2, np.float32)
        kept = Labels(size_hw, boxes, labels.class_ids[places], labels.difficult[places])
        return kept.placed(boxes)


def _layers_in(layer):
    """The layer and all that it holds, each once."""
    import keras

    waiting, met = [layer], set()
    while waiting:
        layer = waiting.pop()
        met.add(id(layer))
        yield layer
        held = _flat(vars(layer).values())
        waiting += [each for each in held if isinstance(each, keras.Layer) and id(each) not in met]


def _flat(values):
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        elif isinstance(value, dict):
            yield from _flat(value.values())
        else:
            yield value


def _array(tensor):
    import keras

    if hasattr(tensor, "to_tensor"):  # ragged
        tensor = tensor.to_tensor(default_value=-1)
    return keras.ops.convert_to_numpy(tensor)
