"""Strict porting: every source array is used once and every target weight written once, or nothing is changed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from keras_ssd.calling import former_attributes
from keras_ssd.formats import NamedArrays
from keras_ssd.names import listed

LISTED = 40


class PortError(ValueError):
    """Weights and model do not fit. The message lists all differences.

    Attributes:
        unused: names "layer/weight" of source arrays that the model does not have.
        missing: names of target weights without a source.
        misshaped: (name, source shape, target shape) of pairs with different shapes.
    """

    def __init__(
        self,
        message: str,
        unused: Iterable[str] = (),
        missing: Iterable[str] = (),
        misshaped: Iterable[tuple[str, Any, Any]] = (),
    ):
        super().__init__(message)
        self.unused: tuple[str, ...] = tuple(unused)
        self.missing: tuple[str, ...] = tuple(missing)
        self.misshaped: tuple[tuple[str, Any, Any], ...] = tuple(misshaped)


@former_attributes(turned="channels_reversed")
@dataclass(frozen=True)
class PortReport:
    """The result of a port; `str()` is a readable summary.

    Args:
        source: the file or other source of the arrays.
        layers: target layers that were written.
        parameters: the number of values written.
        channels_reversed: the first convolution, if its input channels were reversed from BGR to RGB.
        kept: target layers that were left unchanged, on request.
        ignored: source layers that were left out, on request.
        classes: the `SubsampleReport`, if the class heads were sub-sampled.
    """

    source: str
    layers: tuple[str, ...]
    parameters: int
    channels_reversed: str | None = None
    kept: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    classes: Any = None

    def __str__(self) -> str:
        lines = [f"Loaded {len(self.layers)} layers with {self.parameters:,} values from {self.source}."]
        if self.channels_reversed:
            lines.append(f"Reversed the input channels of {self.channels_reversed} from BGR to RGB.")
        if self.kept:
            lines.append("Left as they were: " + ", ".join(self.kept) + ".")
        if self.ignored:
            lines.append("Not needed from the source: " + ", ".join(self.ignored) + ".")
        if self.classes is not None:
            lines.append(str(self.classes))
        return "\n".join(lines)


def port(
    model: Any,
    arrays: NamedArrays,
    *,
    rename: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> PortReport:
    """Writes named arrays into a model's weights, strictly.

    Keras's own loading by name silently skips arrays that do not fit, and a partly loaded detector just seems to detect
    badly. Here everything must fit, or one `PortError` lists all differences and the model is unchanged. If the first
    convolution of the arrays takes BGR, its channels are reversed to RGB.

    Args:
        model: a built `keras.Model` whose layers, also in nested models, have the names of the arrays.
        arrays: `NamedArrays`.
        rename: {source layer: target layer} for names that differ.
        ignore: source layers that may stay unused; shell patterns such as "fc8" or "*_mbox_*".
        keep: target layers that may stay unchanged; shell patterns. Layers that match and have a source are written.

    Raises:
        PortError: something is unused, missing or mis-shaped; nothing was written.

    Example:
        >>> print(port(model, keras_ssd.formats.read("VGG_coco_SSD_300x300_iter_400000.h5")))
    """
    first = first_convolution(arrays) if arrays.first_layer_channels == "bgr" else None
    if first is not None:
        arrays = _turned_to_rgb(arrays, first)
    source = _source_arrays(arrays, rename or {})
    target = target_weights(model)
    ignored = _matching(source, ignore, but_not=target)
    kept = _matching(target, keep, but_not=source)
    source = {key: array for key, array in source.items() if key[0] not in ignored}
    target = {key: variable for key, variable in target.items() if key[0] not in kept}
    _check(arrays, model, source, target)
    for key, variable in target.items():
        variable.assign(source[key])
    return PortReport(
        source=arrays.source,
        layers=_layers(target),
        parameters=sum(array.size for array in source.values()),
        channels_reversed=None if first is None else (rename or {}).get(first, first),
        kept=kept,
        ignored=ignored,
    )


def arrays_of(model: Any, *, layers: Collection[str] | None = None) -> NamedArrays:
    """Copies of the weights of a built model as `NamedArrays`, with its `class_names` if it has them.

    `layers` are the names of the layers to copy; None for all.
    """
    found = {}
    for (layer, weight), variable in target_weights(model).items():
        if layers is None or layer in layers:
            found.setdefault(layer, {})[weight] = to_numpy(variable)
    names = getattr(model, "class_names", None)
    return NamedArrays(found, format="model", class_names=tuple(names) if names else None)


def to_numpy(variable: Any) -> np.ndarray:
    """A copy of a Keras variable's value as float32."""
    import keras

    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32")))


def target_weights(model: Any) -> dict[tuple[str, str], Any]:
    """{(layer, weight): variable} of every weight in a model, nested models included.

    Raises:
        PortError: two layers have the same name.
    """
    found = {}
    for layer in leaf_layers(model):
        for variable in layer.weights:
            key = (layer.name, variable.name)
            if key in found:
                raise PortError(
                    f"Two weights of model {model.name!r} are both named {layer.name}/{variable.name}; "
                    "porting by name needs unique layer names."
                )
            found[key] = variable
    return found


def leaf_layers(model: Any) -> list[Any]:
    """The layers of a model, with nested models replaced by their layers; a layer that is used twice is listed once."""
    seen = {}
    for layer in model.layers:
        for leaf in leaf_layers(layer) if hasattr(layer, "layers") else [layer]:
            seen[id(leaf)] = leaf
    return list(seen.values())


def first_convolution(arrays: NamedArrays) -> str:
    """The name of the only layer whose kernel takes three channels.

    Raises:
        PortError: there is none or more than one, so that BGR cannot be reversed to RGB.
    """
    found = [layer for layer, weight, array in arrays if weight == "kernel" and array.shape[2:3] == (3,)]
    if len(found) != 1:
        raise PortError(
            f"{arrays.source}: the first layer takes BGR. Expected exactly one kernel with 3 input channels, "
            f"to reverse them to RGB. Received: {found}"
        )
    return found[0]


def _turned_to_rgb(arrays, first):
    weights = dict(arrays[first])
    weights["kernel"] = weights["kernel"][:, :, ::-1, :]  # (kh, kw, in, out)
    return replace(arrays, layers={**arrays.layers, first: weights}, first_layer_channels="rgb")


def _source_arrays(arrays, rename: Mapping):
    unknown = [name for name in rename if name not in arrays]
    if unknown:
        raise PortError(f"{arrays.source} has no layers {unknown}, which `rename` names.", missing=unknown)
    source = {}
    for layer, weight, array in arrays:
        key = (rename.get(layer, layer), weight)
        if key in source:
            raise PortError(f"{arrays.source}: `rename` gives two layers the name {key[0]!r}.")
        source[key] = array
    return source


def _matching(keys, patterns, but_not):
    """The layers of `keys` that match a pattern and that the other side does not have."""
    if isinstance(patterns, str):
        raise TypeError(f"Expected a sequence of layer names, not one text. Received: {patterns!r}")
    other = {layer for layer, _ in but_not}
    return tuple(
        layer
        for layer in _layers(keys)
        if layer not in other and any(fnmatchcase(layer, pattern) for pattern in patterns)
    )


def _layers(keys):
    return tuple(dict.fromkeys(layer for layer, _ in keys))


def _check(arrays, model, source, target):
    unused = ["/".join(key) for key in source if key not in target]
    missing = ["/".join(key) for key in target if key not in source]
    misshaped = [
        ("/".join(key), tuple(array.shape), tuple(target[key].shape))
        for key, array in source.items()
        if key in target and tuple(array.shape) != tuple(target[key].shape)
    ]
    if not (unused or missing or misshaped):
        return
    lines = [f"The weights of {arrays.source} do not fit the model {model.name!r}; nothing was loaded."]
    lines += difference("not in the model", unused)
    lines += difference("not in the file", missing)
    shapes = [f"{name} {given} where the model has {wanted}" for name, given, wanted in misshaped]
    lines += difference("of another shape", shapes)
    if not set(source) & set(target):
        lines.append("No name is common to both: these are weights of another model.")
    raise PortError("\n".join(lines), unused, missing, misshaped)


def difference(what: str, names: Sequence[str]) -> list[str]:
    """A list with one line about a difference, or an empty list if there is none."""
    return [f"  {what}: {listed(names, LISTED)}"] if names else []
