"""Feature maps of a network: grids, strides, receptive fields, and which layers nothing goes around."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ssd
from keras_ssd.backbones import feature_maps, possible_taps
from keras_ssd.backbones.taps import propose_taps
from keras_ssd.layer_calls import calls_of
from keras_ssd.models.taps import proposed_taps


def ones(filters, size, **options):
    return layers.Conv2D(filters, size, kernel_initializer="ones", use_bias=False, **options)


def branched(size=(48, 64)):
    """A network with what real ones have: a residual block, dilation, two branches, squeeze and excitation, pooling."""
    inputs = keras.Input((*size, 3))
    x = ones(4, 5, strides=2, padding="same", name="stem")(inputs)
    short = x
    y = ones(4, 3, padding="same", name="inner")(x)
    x = layers.Add(name="sum")([y, short])
    left = ones(4, (3, 1), strides=2, padding="same", name="left")(x)
    right = layers.MaxPooling2D(2, padding="same", name="right")(x)
    x = layers.Concatenate(name="joined")([left, right])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = ones(8, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.ZeroPadding2D(1, name="padding")(x)
    x = layers.DepthwiseConv2D(3, strides=2, depthwise_initializer="ones", name="depthwise")(x)
    x = ones(4, 3, dilation_rate=2, padding="same", name="dilated")(x)
    return keras.Model(inputs, x, name="branched")


def test_values_strides_grids_and_fields():
    maps = feature_maps(branched())
    rows = {name: (m.grid_hw, m.channels, m.stride_hw, m.field_hw) for name, m in maps.items()}
    assert rows == {
        "stem": ((24, 32), 4, (2, 2), (5, 5)),
        "inner": ((24, 32), 4, (2, 2), (9, 9)),
        "sum": ((24, 32), 4, (2, 2), (9, 9)),
        "left": ((12, 16), 4, (4, 4), (13, 9)),
        "right": ((12, 16), 4, (4, 4), (11, 11)),
        "joined": ((12, 16), 8, (4, 4), (13, 11)),
        "gated": ((12, 16), 8, (4, 4), (13, 11)),
        "depthwise": ((6, 8), 8, (8, 8), (21, 19)),
        "dilated": ((6, 8), 4, (8, 8), (53, 51)),
    }


def test_reference_fields_are_where_a_pixel_matters():
    """The pixels that move a cell in the middle, found one by one."""
    size = (120, 120)
    inputs = keras.Input((*size, 1))
    x = ones(1, 3, strides=2, padding="same", name="a")(inputs)
    x = layers.AveragePooling2D(3, strides=2, padding="same", name="b")(x)
    x = ones(1, 3, dilation_rate=2, padding="same", name="c")(x)
    x = layers.UpSampling2D(2, name="up")(x)
    x = ones(1, 3, padding="same", name="d")(x)
    model = keras.Model(inputs, x)
    for name, found in feature_maps(model).items():
        part = keras.Model(model.input, model.get_layer(name).output)
        eye = np.eye(size[0], dtype=np.float32)[:, :, None, None] * np.ones((1, 1, size[1], 1), np.float32)
        values = ops.convert_to_numpy(part(eye))  # image i: row i is lit
        cell = values.shape[1] // 2
        rows = np.flatnonzero(values[:, cell, values.shape[2] // 2, 0])
        # An enlarged map's cells see as much as those before; its own convolution sees at most what is stated.
        assert rows.max() - rows.min() + 1 <= found.field_hw[0], name
        if name in "abc":
            assert rows.max() - rows.min() + 1 == found.field_hw[0], name
        assert size[0] / values.shape[1] == found.stride_hw[0], name


def test_reference_passages_are_layers_without_which_nothing_arrives():
    for model in (branched(), keras.applications.MobileNetV3Small(include_top=False, weights=None)):
        calls = calls_of(model)
        for name, found in feature_maps(
            keras_ssd.backbones.rebuilding.rebuilt(model, keras.Input((64, 96, 3)))
        ).items():
            arrived = {id(model.inputs[0])}
            for call in calls:
                if call.layer.name != name and any(id(x) in arrived for x in call.inputs):
                    arrived.update(id(x) for x in call.outputs)
            assert found.passage == (id(model.outputs[0]) not in arrived), name


@pytest.mark.parametrize(
    ("layer", "stride", "field"),
    [("conv1_2", 1, 5), ("pool1", 2, 6), ("conv2_2", 2, 14), ("conv3_3", 4, 40), ("conv4_3", 8, 92), ("fc7", 16, 420)],
)
def test_values_of_vgg16(layer, stride, field):
    """By hand: each 3x3 convolution adds twice its stride; pool5 is 3x3 at stride 16, fc6 is dilated by 6."""
    found = feature_maps(keras_ssd.backbones.vgg16((300, 300)))[layer]
    assert (found.stride_hw, found.field_hw) == ((stride, stride), (field, field))


def test_values_models_inside_and_layers_called_twice():
    inner = keras.Sequential([keras.Input((32, 32, 3)), ones(4, 3, strides=4, padding="same")], name="inner")
    twice = ones(4, 1, name="twice")
    inputs = keras.Input((32, 32, 3))
    x = inner(inputs)
    x = twice(twice(x))
    x = layers.MaxPooling2D(2, name="pool")(x)
    maps = feature_maps(keras.Model(inputs, x))
    assert list(maps) == ["inner", "pool"]
    assert (maps["inner"].stride_hw, maps["pool"].stride_hw) == ((4, 4), (8, 8))


@keras.saving.register_keras_serializable("tests")
class Patches(layers.Layer):
    """Patches as a sequence and back: the way of transformers, which says nothing of windows."""

    def call(self, inputs):
        return ops.average_pool(inputs, 8, 8)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] // 8, input_shape[2] // 8, input_shape[3])


def test_values_layers_that_say_nothing_are_measured_by_their_grid():
    inputs = keras.Input((64, 96, 3))
    x = Patches(name="patches")(inputs)
    x = ones(4, 3, strides=2, padding="same", name="conv")(x)
    maps = feature_maps(keras.Model(inputs, x))
    assert maps["patches"].stride_hw == (8, 8)
    assert maps["patches"].field_hw == (64, 96)  # for all that is known
    assert maps["conv"].stride_hw == (16, 16)


def test_values_proposals():
    maps = feature_maps(branched((96, 128)))
    assert [each.layer for each in propose_taps(maps)] == ["dilated"]
    assert [each.layer for each in propose_taps(maps, (2, 4, 8))] == ["sum", "gated", "dilated"]
    assert [each.layer for each in propose_taps(maps, (64,))] == ["sum", "gated", "dilated"]  # none there: the coarsest
    assert possible_taps(maps) == (
        "sum (48x64, 4 channels, stride 2), gated (24x32, 8 channels, stride 4), dilated (12x16, 4 channels, stride 8)"
    )


def test_values_what_nothing_holds_is_normalised():
    """No normalisation at all: as in the original, all but the coarsest; BatchNorm in the network: BatchNorm."""
    model = branched()
    taps = proposed_taps(model, feature_maps(model), {}, (2, 4, 8))
    assert [(tap.layer, tap.l2_scale, tap.batch_norm) for tap in taps] == [
        ("sum", 20.0, False),
        ("gated", 20.0, False),
        ("dilated", None, False),
    ]
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="raw")(inputs)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, strides=2, padding="same")(x))
    y = layers.ReLU(name="settled")(layers.MaxPooling2D(1, name="pool")(y))
    z = layers.Conv2D(4, 3, strides=2, padding="same", name="last")(y)
    model = keras.Model(inputs, z)
    taps = proposed_taps(model, feature_maps(model), {}, (2, 4, 8))
    assert [(tap.layer, tap.batch_norm) for tap in taps] == [("raw", True), ("settled", False), ("last", False)]


def test_rejects_a_network_that_never_coarsens():
    inputs = keras.Input((32, 32, 3))
    flat = keras.Model(inputs, ones(4, 3, padding="same")(inputs), name="flat")
    with pytest.raises(ValueError, match="'flat' has no feature map that is coarser than the image"):
        keras_ssd.ssd(flat, classes=["cat"])
