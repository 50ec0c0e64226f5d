"""A Caffe net as data: layers with the settings and arrays of a file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_ssd.caffe.files.schema import fields_by_name
from keras_ssd.formats.named_arrays import WeightFileError


class CaffeFileError(WeightFileError):
    """A prototxt or caffemodel that cannot be used."""


class Settings(Mapping[str, Any]):
    """The fields of one message by name, with the defaults of caffe.proto.

    `settings["num_output"]` is the file's value, else caffe.proto's default, else None. A repeated field is a tuple,
    empty if the file does not give it. A message inside is `Settings` again, with defaults alone if the file does not
    give it. The fields of a fork's own message are as parsed, and None if absent.

    Args:
        values: the fields that the file gives.
        message: the message's name in caffe.proto, or None.

    Raises:
        KeyError: neither the message nor the file has such a field.

    Example:
        >>> layer.settings("convolution_param")["group"]
        1
    """

    def __init__(self, values: Mapping[str, Any], message: str | None = None):
        self._values = values
        self._fields = fields_by_name(message)
        self._message = message

    def __getitem__(self, name: str) -> Any:
        known = self._fields.get(name)
        if name in self._values:
            value = self._values[name]
            if known is not None and known.repeated and not isinstance(value, (list, tuple)):
                value = [value]  # from a record of an unknown message
            return _as_setting(value, known)
        if known is None:
            if self._fields:
                raise KeyError(f"{self._message} has no field {name!r}")
            return None
        if known.repeated:
            return ()
        return Settings({}, known.message) if known.type == "message" else known.default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def has(self, name: str) -> bool:
        """Whether the file gives this field."""
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The file's value, or `default`; caffe.proto's default is not used."""
        return self[name] if name in self._values else default

    def __repr__(self) -> str:
        return f"Settings({dict(self._values)!r}, message={self._message!r})"


def _as_setting(value, known):
    if isinstance(value, (list, tuple)):
        return tuple(_as_setting(part, known) for part in value)
    if isinstance(value, Mapping):
        return Settings(value, known.message if known is not None else None)
    return value


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """One layer of a file; old records are converted to the current names.

    Args:
        name: the layer's name.
        type: Caffe's current name of the layer type: "Convolution", "ReLU".
        bottoms: names of its input blobs.
        tops: names of its output blobs; a name of `bottoms` if it works in place.
        params: every other field of the layer, as plain data: {"convolution_param": {"num_output": 64, "kernel_size":
            [3]}, "include": [{"phase": "TRAIN"}]}.
        blobs: the learned arrays, float32 with the shapes of the file, (out, in, height, width) for a convolution. They
            may be read-only views of the file.
    """

    name: str
    type: str
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    blobs: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "bottoms", tuple(self.bottoms))
        object.__setattr__(self, "tops", tuple(self.tops))
        object.__setattr__(self, "blobs", tuple(self.blobs))
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def settings(self, name: str) -> Settings:
        """The fields of one parameter message of this layer, such as "convolution_param", with defaults.

        Raises:
            ValueError: the file gives a plain value under this name.
        """
        values = self.params.get(name, {})
        if isinstance(values, (list, tuple)) and values:  # a fork's own message, given several times
            values = values[-1]
        if not isinstance(values, Mapping):
            raise ValueError(f"Layer {self.name!r}: {name!r} must be a message in braces. Received: {name}={values!r}")
        known = fields_by_name("LayerParameter").get(name)
        return Settings(values, known.message if known is not None else None)

    def __repr__(self) -> str:
        shapes = ", ".join(str(blob.shape) for blob in self.blobs)
        return f"CaffeLayer({self.name!r}, {self.type!r}, {list(self.bottoms)} -> {list(self.tops)}, blobs=[{shapes}])"


@dataclass(frozen=True, eq=False)
class CaffeNet:
    """The layers of a prototxt or a caffemodel, in the file's order.

    Args:
        name: the net's name.
        layers: all layers, including those of the training phase. Inputs declared the old way (`input:` with
            `input_dim` or `input_shape`) are layers of type "Input".
        path: the file, or None.
        unknown: (layer name, "field 27 of ConvolutionParameter") of fields that a binary file has and only a fork's
            caffe.proto defines; "" for the net.
    """

    name: str
    layers: tuple[CaffeLayer, ...]
    path: Path | None = None
    unknown: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))

    def for_phase(self, phase: str, *, level: int = 0, stages: Iterable[str] = ()) -> "CaffeNet":
        """The net with the layers that Caffe builds in a phase.

        Follows Net::FilterNet: a layer without `include` rules is in unless an `exclude` rule matches; one with
        `include` rules is in if one of them matches.

        Args:
            phase: "TRAIN" or "TEST".
            level: the net's level, for `min_level` and `max_level`.
            stages: the net's stages, for `stage` and `not_stage`.

        Raises:
            ValueError: another phase.
            CaffeFileError: a layer has both kinds of rules.

        Example:
            >>> deploy = read_prototxt("train_val.prototxt").for_phase("TEST")
        """
        if phase not in ("TRAIN", "TEST"):
            raise ValueError(f"`phase` must be 'TRAIN' or 'TEST'. Received: phase={phase!r}")
        kept = [layer for layer in self.layers if _is_in(layer, phase, level, frozenset(stages), self.path)]
        return replace(self, layers=tuple(kept))


def _is_in(layer, phase, level, stages, path):
    include, exclude = (layer.params.get(rules, ()) for rules in ("include", "exclude"))
    if include and exclude:
        raise CaffeFileError(
            f"{path or '<net>'}: layer {layer.name!r} has both include and exclude rules; Caffe allows one kind. "
            "Remove one of them."
        )
    if include:
        return any(_holds(Settings(rule, "NetStateRule"), phase, level, stages) for rule in include)
    return not any(_holds(Settings(rule, "NetStateRule"), phase, level, stages) for rule in exclude)


def _holds(rule, phase, level, stages):
    return (
        rule.get("phase", phase) == phase
        and rule.get("min_level", level) <= level <= rule.get("max_level", level)
        and stages.issuperset(rule["stage"])
        and stages.isdisjoint(rule["not_stage"])
    )
