"""The net during an export, and the helpers of its writers."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.caffe.exporter.blobs import Blob, float32
from keras_ssd.caffe.exporter.padding import convolution_of, without_idle_cells
from keras_ssd.caffe.files import CaffeLayer
from keras_ssd.caffe.importer.names import caffe_name
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.layout import CHANNELS_FIRST, agree, plain_order, usual_order
from keras_ssd.names import unique
from keras_ssd.padding import NO_SIDES


class Net:
    """The layers written so far, the names in use, and notes for the user."""

    layers: list[CaffeLayer]
    notes: list[str]
    forks: Counter[str]

    def __init__(self):
        self.layers, self.notes, self.forks = [], [], Counter()
        self._names, self._once = set(), {}

    def unique(self, name: str) -> str:
        """The name, with a number if a layer has it already."""
        return unique(name, self._names)

    def append(self, layer: CaffeLayer) -> None:
        self.layers.append(layer)
        if set(layer.tops) & set(layer.bottoms):  # in place: blobs made from its earlier value are out of date
            self._once = {key: made for key, made in self._once.items() if key[0][0] not in layer.tops}

    def once(self, key: tuple[Any, ...], make: Callable[[], Blob]) -> Blob:
        """The blob that `make` wrote for this key, the first time."""
        if key not in self._once:
            self._once[key] = make()
        return self._once[key]

    def note(self, sentence: str) -> None:
        """Adds a sentence to the report."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def all_notes(self) -> tuple[str, ...]:
        """Every sentence for the report."""
        counts = ", ".join(f"{kind} ({count})" for kind, count in self.forks.items())
        forks = f"Layers of OpenCV and Caffe's forks that the original Caffe does not have: {counts}."
        return (*self.notes, *([forks] if counts else []))

    def maker(self, blob: Blob) -> int:
        """The index of the last layer that wrote a blob."""
        return max(index for index, layer in enumerate(self.layers) if blob.name in layer.tops)

    def with_own_name(self, blob: Blob) -> Blob:
        """The blob under the name of the layer that wrote it last: OpenCV asks for layers, Caffe for blobs."""
        place = self.maker(blob)
        old, new = blob.name, self.layers[place].name
        if len(self.layers[place].tops) > 1 or old == new:
            return blob
        self.layers[place] = replace(self.layers[place], tops=(new,))
        for index in range(place + 1, len(self.layers)):
            bottoms = tuple(new if name == old else name for name in self.layers[index].bottoms)
            self.layers[index] = replace(self.layers[index], bottoms=bottoms)
        return replace(blob, name=new)


@dataclass
class Step:
    """One call of a Keras layer during an export.

    Args:
        net: the `Net`.
        layer: the Keras layer.
        output_shape: of its output tensor, batch first.
    """

    net: Net
    layer: Any
    output_shape: tuple[Any, ...]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = caffe_name(self.layer.name)

    def fail(self, what: str) -> NoReturn:
        """Raises the error of a layer that Caffe cannot express."""
        raise ExportError(
            f"Layer '{self.layer.name}' ({type(self.layer).__name__}) cannot be written for Caffe: {what}"
        )

    def label(self, suffix: str | None = None) -> str:
        """A free layer name: the step's own, or with `_suffix`."""
        return self.net.unique(self.name if suffix is None else f"{self.name}_{suffix}")

    def add(
        self,
        kind: str,
        inputs: Sequence[Blob],
        shape: Sequence[Any] | None = None,
        order: tuple[int, ...] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        blobs: Iterable[ArrayLike] = (),
        suffix: str | None = None,
        in_place: bool = False,
    ) -> Blob:
        """Writes a layer and returns the `Blob` of its output.

        Args:
            kind: Caffe's layer type.
            inputs: settled `Blob`s.
            shape, order: of the output, in Keras's order with batch first; None for the first input's.
            params: the layer's parameter messages.
            blobs: learned arrays in Caffe's shapes.
            suffix: after the step's name; None for the layer that represents the Keras layer itself.
            in_place: overwrite the first input if no other layer reads it.
        """
        first, name = inputs[0], self.label(suffix)
        top = first.name if in_place and not first.shared else name
        blobs = tuple(float32(blob) for blob in blobs)
        self.net.append(CaffeLayer(name, kind, tuple(x.name for x in inputs), (top,), params or {}, blobs))
        if shape is None:
            return Blob(top, first.shape, order=order or first.order)
        return Blob(top, tuple(shape), order=order or usual_order(len(shape)))

    def convolve(
        self,
        x: Blob,
        kernel: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        strides: Sequence[int] = (1, 1),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        cells: Sequence[Sequence[int]] = NO_SIDES,
        suffix: str | None = None,
    ) -> Blob:
        """Writes a Convolution.

        Args:
            x: the map, settled and with channels first.
            kernel: (out, in / groups, height, width).
            bias: (out,) or None.
            strides, dilation: (height, width).
            groups: of channels.
            cells: zeros around the map, ((top, bottom), (left, right)).
            suffix: of the layer's name.
        """
        if 1 < groups == x.shape[-1]:
            kernel, cells = without_idle_cells(x.shape[1:3], kernel, dilation, cells)
        kernel, param, sizes = convolution_of(x.shape[1:3], kernel, strides, dilation, cells)
        param = {"num_output": kernel.shape[0], "bias_term": bias is not None, **param}
        if groups > 1:
            param["group"] = groups
        blobs = (kernel,) if bias is None else (kernel, bias)
        shape = (x.shape[0], *sizes, kernel.shape[0])
        return self.add("Convolution", [x], shape, params={"convolution_param": param}, blobs=blobs, suffix=suffix)

    def settle(self, x: Blob) -> Blob:
        """The blob with channel order, factors, padding and flattening written."""
        return x if x.settled else self.net.once((x.key, "settled"), lambda: self._settled(x))

    def _settled(self, x):
        flat = x.flat
        padding, x = x.padding, replace(x, padding=None, flat=False)
        if x.channels_reversed or x.factors:
            x = self._straight(x)
        if padding is not None:
            x = self._padded(x, padding)
        return self.reshaped(x, (x.shape[0], int(np.prod(x.shape[1:]))), "flat") if flat else x

    def _straight(self, x):
        """A convolution that only reorders channels, since Caffe has no layer for that."""
        channels = x.shape[-1]
        kernel = np.diag(np.ones(channels) if x.factors is None else x.factors)
        kernel = x.turned(kernel)
        blob = replace(x, channels_reversed=False, factors=None)
        return self.convolve(blob, kernel[:, :, None, None], suffix="input")

    def _padded(self, x, padding):
        """A convolution that only pads, since Caffe has no layer for that."""
        if padding.lowest:
            self.fail("padding with the lowest number is written only as part of the max pooling after it.")
        x, channels = self.ordered(x, CHANNELS_FIRST), x.shape[-1]
        kernel = np.ones((channels, 1, 1, 1))
        return self.convolve(x, kernel, groups=channels, cells=padding.sides, suffix="padded")

    def ordered(self, x: Blob, order: Sequence[int]) -> Blob:
        """The blob, settled, with its axes in this order."""
        x = self.settle(x)
        if x.order == tuple(order):
            return x
        return self.net.once((x.key, tuple(order)), lambda: self._permuted(x, tuple(order)))

    def _permuted(self, x, order):
        params = {"permute_param": {"order": x.axes_to(order)}}
        return self.add("Permute", [x], x.shape, order, params=params, suffix="perm")

    def maps(self, x: Blob) -> Blob:
        """The blob, settled, as a map with its channels in front."""
        if x.rank != 4 or x.flat:
            self.fail(f"it needs a map (B, H, W, C) as its input. Received: shape={x.shape}")
        return self.ordered(x, CHANNELS_FIRST)

    def plain(self, x: Blob) -> Blob:
        """The blob, settled, with its axes in Keras's order."""
        x = self.settle(x)
        return self.ordered(x, plain_order(x.rank))

    def aligned(self, inputs: Iterable[Blob]) -> list[Blob]:
        """All blobs, settled, in one order: their own if they agree, else the usual one."""
        inputs = [self.settle(x) for x in inputs]
        return inputs if agree(inputs) else [self.ordered(x, usual_order(x.rank)) for x in inputs]

    def reshaped(self, x: Blob, shape: Sequence[Any], suffix: str | None = None) -> Blob:
        """The blob's values in Keras's order, with another shape."""
        x = self.settle(x)
        x = x if x.in_value_order else self.plain(x)
        shape = (None, *shape[1:])
        # If axes of length 1 make both orders equal, take the order of convolutions: it costs nothing.
        made = Blob("", shape, order=usual_order(len(shape)))
        order = made.order if made.in_value_order else plain_order(len(shape))
        dims = [shape[axis] for axis in order[1:]]
        if list(x.stored_shape[1:]) == dims:
            return replace(x, shape=shape, order=order)
        if len(dims) == 1:
            return self.add("Flatten", [x], shape, order, suffix=suffix)
        params = {"reshape_param": {"shape": {"dim": [0, *dims]}}}
        return self.add("Reshape", [x], shape, order, params=params, suffix=suffix)

    def cut(self, x: Blob, keras_axis: int, start: int, stop: int, suffix: str | None = "part") -> Blob:
        """The slice [start:stop) of an axis."""
        axis, size = x.axis(keras_axis), x.shape[keras_axis]
        if (start, stop) == (0, size):
            return x
        points = [point for point in (start, stop) if 0 < point < size]
        name = self.label(suffix)
        tops = [name if begin == start else self.net.unique(f"{name}_rest") for begin in (0, *points)]
        param = {"axis": axis, "slice_point": points}
        self.net.append(CaffeLayer(name, "Slice", (x.name,), tuple(tops), {"slice_param": param}))
        rest = tuple(top for top in tops if top != name)
        self.net.append(CaffeLayer(self.net.unique(f"{name}_silence"), "Silence", rest, ()))
        shape = tuple(stop - start if index == keras_axis else side for index, side in enumerate(x.shape))
        return Blob(name, shape, order=x.order)

    def mapped(self, x: Blob, sources: ArrayLike, constants: ArrayLike | None = None) -> Blob:
        """The map with other channels: channel i is the input's channel `sources[i]`, or `constants[i]` for -1.

        If the map comes from a convolution that only this layer reads, its filters are reordered; else a convolution is
        added.
        """
        sources = np.asarray(sources)
        constants = np.zeros(len(sources)) if constants is None else np.asarray(constants)
        bias = np.where(sources < 0, constants, 0) if constants[sources < 0].any() else None
        x = self.maps(x)
        place = self.net.maker(x)
        maker = self.net.layers[place]
        if x.shared or maker.type != "Convolution" or maker.settings("convolution_param")["group"] != 1:
            kernel = np.eye(x.shape[-1])[sources] * (sources >= 0)[:, None]
            return self.convolve(x, kernel[:, :, None, None], bias, suffix="channels")
        kernel = np.where((sources < 0)[:, None, None, None], 0, maker.blobs[0][sources])
        blobs = [kernel]
        if len(maker.blobs) > 1 or bias is not None:
            given = maker.blobs[1] if len(maker.blobs) > 1 else np.zeros(x.shape[-1])
            blobs.append(np.where(sources < 0, constants, given[sources]))
        param = {**maker.params["convolution_param"], "num_output": len(sources), "bias_term": len(blobs) > 1}
        params = {**maker.params, "convolution_param": param}
        self.net.layers[place] = replace(maker, params=params, blobs=tuple(float32(blob) for blob in blobs))
        return replace(x, shape=(*x.shape[:3], len(sources)))

    def apart(self, x: Blob, kinds: Sequence[str]) -> Blob:
        """The blob, protected from being merged by OpenCV if a layer of these types made it.

        OpenCV merges a normalization into the layer before it, and wrongly if that layer has groups or the factors are
        not per channel. It does not merge if a second layer reads the blob.
        """
        maker = self.net.layers[self.net.maker(x)] if x.settled else None
        grouped = maker is not None and maker.settings("convolution_param")["group"] > 1
        if maker is None or maker.type not in kinds or (kinds == ("Deconvolution",) and not grouped):
            return x
        self.net.append(CaffeLayer(self.label("silence"), "Silence", (x.name,)))
        return replace(x, shared=True)

    def padded(self, x: Blob, sides: Sequence[Sequence[int]], *, lowest: bool = False) -> Blob:
        """The blob with more padding, which a later layer adds."""
        if x.flat or (x.padding is not None and x.padding.lowest != lowest):
            x = self.settle(x)
        return x.padded(sides, lowest)
