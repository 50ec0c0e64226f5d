"""Where an int8 file rounds feature maps: behind each operation that the file has, once what can be fused is fused."""

import keras

from keras_ssd import layers as ours
from keras_ssd.folding import foldable_pairs
from keras_ssd.layer_calls import calls_of, readers_of

_KERAS = keras.layers
# What makes no new values: the file gives its output the levels of its input.
SAME = (
    *(_KERAS.InputLayer, _KERAS.ZeroPadding2D, _KERAS.Cropping2D, _KERAS.MaxPooling2D, _KERAS.GlobalMaxPooling2D),
    *(_KERAS.Reshape, _KERAS.Flatten, _KERAS.Permute, _KERAS.Identity, _KERAS.Dropout, _KERAS.SpatialDropout2D),
    *(_KERAS.GaussianNoise, _KERAS.ActivityRegularization, ours.LowestPadding2D, ours.ReverseChannels),
)
# What stays in float: behind the heads.
ENDS = (ours.AnchorBoxes, ours.BoxesOfClasses, ours.ClassColumns, ours.DecodeDetections)
FUSING = (_KERAS.Conv2D, _KERAS.DepthwiseConv2D, _KERAS.SeparableConv2D, _KERAS.Dense, _KERAS.Add)


def rounded_places(model: keras.Model) -> set[str]:
    """Names of the layers of a functional model whose output an int8 file of TensorFlow Lite rounds.

    A batch normalisation behind a convolution is folded into it, and a ReLU or ReLU6 behind a convolution or a sum is
    fused with it; then only the last of them is rounded.
    """
    calls = calls_of(model)
    readers = readers_of(calls)
    folded = {norm.name for _, norm in foldable_pairs(model)}
    found = set()
    for call in calls:
        layer = call.layer
        if isinstance(layer, (*SAME, *ENDS)) or not isinstance(layer, keras.layers.Layer) or len(call.outputs) != 1:
            continue
        reading = readers.get(id(call.outputs[0]), ())
        if len(reading) == 1:
            reader = reading[0].layer
            fuses = (isinstance(layer, FUSING) and _is_linear(layer)) or layer.name in folded
            if reader.name in folded or (fuses and _is_clip(reader)):
                continue
        found.add(layer.name)
    return found


def _is_linear(layer):
    return getattr(layer, "activation", None) in (None, keras.activations.linear)


def _is_clip(layer):
    """Whether a layer is what TensorFlow Lite fuses with the operation before it."""
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope and not layer.threshold and layer.max_value in (None, 6)
    return isinstance(layer, keras.layers.Activation) and layer.activation in (
        keras.activations.relu,
        keras.activations.relu6,
    )
