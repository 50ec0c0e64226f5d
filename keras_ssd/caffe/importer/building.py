"""The arguments of a builder: the layer with its settings, and a way to make Keras layers with weights."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from keras_ssd.caffe.files import CaffeLayer, Settings
from keras_ssd.formats.named_arrays import MAX_ARRAY_BYTES, MAX_TOTAL_BYTES
from keras_ssd.map_limits import check_map
from keras_ssd.names import unique


@dataclass(frozen=True)
class Stored:
    """The source of a Keras layer's weight.

    Args:
        index: which of the Caffe layer's blobs.
        shape: Caffe's shape. Old files pad it with ones to four axes, so (1, 1, 1, 64) is accepted for (64,).
        convert: from Caffe's array of that shape to Keras's.
        factor: index of a blob with one number that the array is divided by (BatchNorm's moving averages), or None.
            Zero gives zeros, as in Caffe; if the file lacks that blob, it is 1.
        layer: the Caffe layer, if it is not the step's own (a Scale merged into a BatchNorm).
    """

    index: int
    shape: tuple[int, ...]
    convert: Callable[[np.ndarray], np.ndarray] = field(default=np.asarray, repr=False)
    factor: int | None = None
    layer: CaffeLayer | None = None


@dataclass(frozen=True)
class Placed:
    """A weight of the model and its source in the file."""

    target: str  # name of the Keras layer
    weight: str
    stored: Stored
    layer: CaffeLayer


class Plan:
    """All weights of a model under construction, and the names in use."""

    def __init__(self):
        self.placed: list[Placed] = []
        self.bytes = 0
        self.names: set[str] = set()

    def unique(self, name: str) -> str:
        """The name, with a number if it is in use."""
        return unique(name, self.names)


@dataclass(frozen=True)
class Step:
    """One layer of the net under construction.

    Args:
        layer: the `CaffeLayer`.
        name: its name, made legal for Keras. Use it for the Keras layer that holds the weights, or for the last one.
        plan: the list of weights.
        merged: Caffe layers that become part of this one: the Scale after a BatchNorm.
        truncate_sizes: truncate prior sizes to whole pixels.
    """

    layer: CaffeLayer
    name: str
    plan: Plan
    merged: tuple[CaffeLayer, ...] = ()
    truncate_sizes: bool = True

    def settings(self, message: str) -> Settings:
        """Fields of one of the layer's parameter messages, with Caffe's defaults."""
        return self.layer.settings(message)

    def label(self, suffix: str | None = None) -> str:
        """A free layer name: the step's own, or with `_suffix`."""
        return self.plan.unique(self.name if suffix is None else f"{self.name}_{suffix}")

    def apply(self, layer: Any, *tensors: Any, weights: Mapping[str, Stored] | None = None) -> Any:
        """Calls a Keras layer and records the sources of its weights.

        Args:
            layer: a new Keras layer, named by `label`.
            tensors: its inputs; several are passed as a list, as merging layers expect.
            weights: {weight name: Stored}, one for every weight of the layer.

        Returns:
            Its output tensor.
        """
        self._check_sizes(weights or {})
        output = layer(tensors[0] if len(tensors) == 1 else list(tensors))
        for tensor in output if isinstance(output, (list, tuple)) else [output]:
            check_map(f"Layer '{self.layer.name}' ({self.layer.type})", tensor.shape)
        for weight, stored in (weights or {}).items():
            self.plan.placed.append(Placed(layer.name, weight, stored, self.layer))
        named = {variable.name for variable in layer.weights}
        if named != set(weights or {}):
            raise ValueError(
                f"Layer '{layer.name}' has the weights {sorted(named)}; the builder of '{self.layer.type}' gives "
                f"sources for {sorted(weights or {})}."
            )
        return output

    def _check_sizes(self, weights):
        """Refuses weights larger than any real net has, before memory is allocated for them."""
        for weight, stored in weights.items():
            size = 4 * math.prod(stored.shape)
            self.plan.bytes += size
            if size > MAX_ARRAY_BYTES or self.plan.bytes > MAX_TOTAL_BYTES:
                self.fail(
                    f"its {weight} of shape {tuple(stored.shape)} is larger than a net may hold "
                    f"({MAX_ARRAY_BYTES:,} bytes per array, {MAX_TOTAL_BYTES:,} bytes in all)."
                )

    def fail(self, what: str) -> NoReturn:
        """Raises the error of a layer with invalid settings."""
        raise ValueError(f"Layer '{self.layer.name}' ({self.layer.type}): {what}")
