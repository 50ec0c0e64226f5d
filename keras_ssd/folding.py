"""Batch normalisation computed into the convolution before it: which pairs allow it, and a network that does it."""

from typing import Any

import keras
from keras import ops

from keras_ssd.layer_calls import calls_of, readers_of

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def foldable_pairs(model: keras.Model) -> list[tuple[Any, Any]]:
    """(convolution, batch normalisation) layers of a functional model in which no other layer reads the convolution.

    With fixed averages, a normalisation is a scale and bias per channel, which the convolution can include.
    """
    calls = calls_of(model)
    readers, times = readers_of(calls), {}
    for call in calls:
        times[call.layer] = times.get(call.layer, 0) + 1
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = []
    for call in calls:
        if not isinstance(call.layer, CONVOLUTIONS) or call.layer.activation is not keras.activations.linear:
            continue
        reading = readers.get(id(call.outputs[0]), ())
        if len(reading) != 1 or id(call.outputs[0]) in outputs:
            continue
        norm = reading[0].layer
        if isinstance(norm, keras.layers.BatchNormalization) and times[call.layer] == times[norm] == 1:
            pairs.append((call.layer, norm))
    return pairs


class FoldedNetwork(keras.layers.Layer):
    """Runs a model for detecting, with each batch normalisation folded into the convolution before it.

    The kernels are folded in each call, from the model's current weights, so the model can be trained on. That costs a
    few thousand multiplications and saves two or three passes over whole feature maps. The outputs are equal up to
    rounding.

    Args:
        model: a functional `keras.Model` with one input and one output.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self._calls = calls_of(model)
        self._norms = {conv: norm for conv, norm in foldable_pairs(model) if _can_run_folded(conv, norm)}
        self._gone = set(self._norms.values())
        self.built = True

    @classmethod
    def pays_for(cls, model: keras.Model) -> bool:
        """Whether there is anything to fold."""
        return any(_can_run_folded(conv, norm) for conv, norm in foldable_pairs(model))

    def call(self, images: Any) -> Any:
        values = {id(self.model.inputs[0]): images}
        for call in self._calls:
            args, kwargs = call.arguments(values)
            if call.layer in self._gone:
                outputs = args[0]
            elif call.layer in self._norms:
                outputs = _folded(call.layer, self._norms[call.layer], args[0])
            else:
                outputs = call.layer(*args, **kwargs)
            for tensor, value in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
                values[id(tensor)] = value
        return values[id(self.model.outputs[0])]

    def compute_output_spec(self, images: Any) -> Any:
        output = self.model.outputs[0]
        return keras.KerasTensor((images.shape[0], *output.shape[1:]), dtype=output.dtype)


def _can_run_folded(conv, norm):
    """Whether `_folded` computes what the two layers compute: float32, channels last, Keras's own arithmetic."""
    plain = {type(conv).call, type(norm).call} <= {cls.call for cls in (*CONVOLUTIONS, keras.layers.BatchNormalization)}
    exact = conv.compute_dtype == norm.compute_dtype == "float32"
    return plain and exact and conv.data_format == "channels_last" and norm.axis in (-1, 3)


def _folded(conv, norm, x):
    factor = ops.rsqrt(norm.moving_variance + norm.epsilon)
    factor = factor if norm.gamma is None else factor * norm.gamma
    shift = -norm.moving_mean if conv.bias is None else conv.bias - norm.moving_mean
    shift = shift * factor if norm.beta is None else shift * factor + norm.beta
    settings = {"padding": conv.padding, "dilation_rate": conv.dilation_rate, "data_format": conv.data_format}
    if isinstance(conv, keras.layers.DepthwiseConv2D):
        # The kernel is (kh, kw, channels, multiplier), its outputs are channel-major.
        kernel = conv.kernel * ops.reshape(factor, conv.kernel.shape[2:])
        return ops.depthwise_conv(x, kernel, conv.strides, **settings) + shift
    return ops.conv(x, conv.kernel * factor, list(conv.strides), **settings) + shift
