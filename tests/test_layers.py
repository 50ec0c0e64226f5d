"""The layers: values against Caffe, configs, symbolic shapes, mixed precision."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_ssd.anchors import AnchorLevel, AnchorSpec, named_spec
from keras_ssd.backbones.blocks import ConvRow, ConvStyle, apply_row, max_pool
from keras_ssd.layers import AnchorBoxes, DecodeDetections, L2Normalization, LowestPadding2D

pytestmark = pytest.mark.numerical


def nhwc(x):
    return np.ascontiguousarray(np.transpose(x, (0, 2, 3, 1)))


def nchw(x):
    return np.transpose(ops.convert_to_numpy(x), (0, 3, 1, 2))


def gradients(layer, x, dy):
    """Gradients of sum(layer(x) * dy): by x and by the layer's scales."""
    backend = keras.backend.backend()
    x, dy = ops.convert_to_tensor(x), ops.convert_to_tensor(dy)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(layer(x) * dy)
        found = tape.gradient(loss, [x, layer.gamma.value])
    elif backend == "jax":
        import jax

        def loss(x, gamma):
            return ops.sum(layer.stateless_call([gamma], [], x)[0] * dy)

        found = jax.grad(loss, argnums=(0, 1))(x, layer.gamma.value)
    else:
        x = x.detach().requires_grad_()
        layer.zero_grad()
        ops.sum(layer(x) * dy).backward()
        found = (x.grad, layer.gamma.value.grad)
    return [np.array(ops.convert_to_numpy(g)) for g in found]


def built_normalization(scale, shape, **options):
    layer = L2Normalization(**options)
    layer.build(shape)
    layer.gamma.assign(scale)
    return layer


@pytest.mark.parametrize("case", ["shared", "across"])
def test_reference_normalize_options(oracle, case):
    reference = oracle("caffe", "normalize_small.npz")
    x = nhwc(reference["small_x"])
    options = {"channel_shared": case == "shared", "across_spatial": case == "across"}
    layer = built_normalization(reference[f"{case}_scale"].reshape(-1), x.shape, **options)
    np.testing.assert_allclose(nchw(layer(x)), reference[f"{case}_y"], rtol=1e-5, atol=1e-5)
    _, dscale = gradients(layer, x, nhwc(reference["small_dy"]))
    np.testing.assert_allclose(dscale, reference[f"{case}_dscale"].reshape(-1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefix", ["", "uniform_"])
def test_reference_normalize(shared, prefix):
    with np.load(shared("oracle", "caffe", "normalize.npz")) as reference:
        x = nhwc(reference["x"])
        layer = built_normalization(reference[f"{prefix}scale"], x.shape)
        y = nchw(layer(x))
        assert np.isfinite(y).all()
        assert not y[0, :, 2, 3].any()  # a column of zeros stays zero
        np.testing.assert_allclose(y, reference[f"{prefix}y"], rtol=1e-5, atol=1e-5)
        dx, dscale = gradients(layer, x, nhwc(reference["dy"]))
        assert np.isfinite(dx).all()
        largest = abs(reference[f"{prefix}dscale"]).max()
        np.testing.assert_allclose(dscale, reference[f"{prefix}dscale"], rtol=0, atol=1e-5 * largest)
        if prefix:  # Caffe's own dx is the true gradient only where all scales are equal
            expected = nhwc(reference["uniform_dx"])
            zero = ~x.any(axis=-1)
            assert zero.sum() == 2
            np.testing.assert_allclose(dx[zero], expected[zero], rtol=1e-5)
            rest = expected[~zero]
            np.testing.assert_allclose(dx[~zero], rest, rtol=1e-5, atol=1e-5 * np.median(abs(rest)))


def caffe_settings(text):
    words = text.replace(":", "").split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


POOLS = (
    *("pool2x2_75", "pool2x2_150", "pool2x2_5x7", "pool2x2_negative", "pool3x3s1p1"),
    *("pool3x3s1p1_negative", "pool3x3s2", "pool3x3s2p1", "pool2x2s2p1"),
)
CONVOLUTIONS = (
    *("conv3x3_d6p6", "conv3x3_s2p1_10", "conv3x3_s2p1_38", "conv3x3_s2p1_19", "conv3x3_s1p0_5"),
    *("conv4x4_s1p1_2", "conv3x3_s1p1"),
)


@pytest.mark.parametrize("case", POOLS)
def test_reference_pooling(oracle, case):
    reference = oracle("caffe", "pool_conv.npz")
    given = caffe_settings(json.loads(str(reference["params"]))[case])
    x = nhwc(reference[f"{case}_x"])
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, max_pool(inputs, "pool", given["kernel_size"], given["stride"], given.get("pad", 0)))
    np.testing.assert_array_equal(nchw(model(x)), reference[f"{case}_y"])


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_reference_convolution(oracle, case):
    reference = oracle("caffe", "pool_conv.npz")
    given = caffe_settings(json.loads(str(reference["params"]))[case])
    x = nhwc(reference[f"{case}_x"])
    row = ConvRow(
        "conv",
        given["num_output"],
        given["kernel_size"],
        stride=given.get("stride", 1),
        pad=given.get("pad", 0),
        dilation=given.get("dilation", 1),
    )
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, apply_row(inputs, row, ConvStyle(), activation=None))
    model.get_layer("conv").kernel.assign(np.transpose(reference[f"{case}_w"], (2, 3, 1, 0)))
    model.get_layer("conv").bias.assign(reference[f"{case}_b"].reshape(-1))
    np.testing.assert_allclose(nchw(model(x)), reference[f"{case}_y"], rtol=0, atol=1e-5)


def two_level_spec(clip=False):
    levels = (
        AnchorLevel((2, 3), 16, ((20, 10), (10, 20))),
        AnchorLevel((1, 1), (32, 48), ((30, 30), (20, 40), (40, 20))),
    )
    return AnchorSpec((32, 48), levels, (0.1, 0.1, 0.2, 0.2), clip)


def two_level_maps(num_classes=4, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((2, 3, 2), (1, 1, 3))
    return tuple(
        [rng.normal(size=(batch, h, w, boxes * width)).astype(np.float32) for h, w, boxes in shapes]
        for width in (num_classes + 1, 4)
    )


def test_values_anchor_boxes_joins_level_by_level():
    spec = two_level_spec()
    confidences, offsets = two_level_maps()
    y = ops.convert_to_numpy(AnchorBoxes(spec)(confidences, offsets))
    assert y.shape == (2, 15, 5 + 12)
    np.testing.assert_array_equal(y[:, :12, :5], confidences[0].reshape(2, 12, 5))
    np.testing.assert_array_equal(y[:, 12:, :5], confidences[1].reshape(2, 3, 5))
    np.testing.assert_array_equal(y[:, 12:, 5:9], offsets[1].reshape(2, 3, 4))
    np.testing.assert_array_equal(y[1, :, 9:13], spec.anchors_cxcywh())
    np.testing.assert_array_equal(y[1, :, 13:], np.tile(np.float32(spec.variances), (15, 1)))
    # cell (row 1, column 2), second box: centre (40, 24) of 48x32, box 20 wide and 10 high
    np.testing.assert_allclose(y[0, 11, 9:13], [40 / 48, 24 / 32, 20 / 48, 10 / 32], rtol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_values_coordinates_stay_float32_under_mixed_precision(policy):
    spec = named_spec("ssd300_voc")
    keras.config.set_dtype_policy(policy)
    try:
        maps = [
            [keras.Input((*grid, boxes * width)) for grid, boxes in zip(spec.grids, spec.boxes_per_cell, strict=True)]
            for width in (3, 4)
        ]
        raw = AnchorBoxes(spec)(*maps)
        detections = DecodeDetections()(raw)
        model = keras.Model(maps, [raw, detections])
    finally:
        keras.config.set_dtype_policy("float32")
    values = [[np.full((1, *m.shape[1:]), 0.25, np.float32) for m in kind] for kind in maps]
    raw, detections = model(values)
    assert keras.backend.standardize_dtype(raw.dtype) == "float32"
    assert keras.backend.standardize_dtype(detections.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(raw)[0, :, 7:11], spec.anchors_cxcywh())
    assert {layer.compute_dtype for layer in model.layers if isinstance(layer, AnchorBoxes | DecodeDetections)} == {
        "float32"
    }


def test_values_long_features_do_not_overflow_in_half_precision():
    layer = L2Normalization(20.0, dtype="mixed_float16")
    x = np.full((1, 1, 1, 512), 60.0, np.float16)  # the sum of squares is 1.8e6, beyond float16
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(y), 20 / 512**0.5, rtol=1e-3)


def test_values_scales_can_be_penalised():
    layer = L2Normalization(3.0, gamma_regularizer=keras.regularizers.L2(0.1))
    layer(np.ones((1, 1, 1, 8), np.float32))
    assert ops.convert_to_numpy(sum(layer.losses)) == pytest.approx(0.1 * 8 * 3.0**2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_values_padding_is_the_lowest_finite_number(dtype):
    y = LowestPadding2D(((1, 0), (0, 0)), dtype=dtype)(np.zeros((1, 1, 1, 1), np.float32))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    lowest = float(ops.convert_to_numpy(ops.cast(y, "float32")).min())
    assert np.isfinite(lowest)
    assert lowest <= -65504.0


def layers_and_inputs():
    confidences, offsets = two_level_maps()
    predictions = np.random.default_rng(0).normal(size=(2, 15, 17)).astype(np.float32)
    features = np.random.default_rng(1).normal(size=(2, 3, 5, 8)).astype(np.float32)
    return [
        (AnchorBoxes(two_level_spec(clip=True), name="anchors"), (confidences, offsets)),
        (
            DecodeDetections(from_logits=False, confidence_threshold=0.1, top_k=7, keep_top_k=9, eta=0.9, name="found"),
            (predictions,),
        ),
        (
            L2Normalization(3.0, epsilon=1e-8, channel_shared=True, gamma_regularizer=keras.regularizers.L2(0.1)),
            (features,),
        ),
        (LowestPadding2D(((1, 0), (2, 3))), (features,)),
        (L2Normalization(3.0, across_spatial=True), (features,)),
    ]


@pytest.mark.parametrize("index", range(5))
def test_roundtrip_config_and_symbolic_shape(index):
    layer, inputs = layers_and_inputs()[index]
    config = json.loads(json.dumps(layer.get_config()))
    twin = layer.__class__.from_config(config)
    assert twin.get_config() == layer.get_config()
    symbolic = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:]), inputs)
    spec = twin(*symbolic)
    eager = layer(*inputs)
    assert spec.shape[0] is None
    assert spec.shape[1:] == tuple(eager.shape)[1:]
    assert spec.dtype == keras.backend.standardize_dtype(eager.dtype)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(twin(*inputs)), ops.convert_to_numpy(eager))
    serialized = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(serialized).get_config() == layer.get_config()


def test_rejects_maps_that_are_not_the_specs():
    layer = AnchorBoxes(two_level_spec())
    confidences, offsets = two_level_maps()
    with pytest.raises(ValueError, match=r"level 0 has the grid \(3, 2\).*\(2, 3\)"):
        layer([np.swapaxes(confidences[0], 1, 2), confidences[1]], offsets)
    with pytest.raises(ValueError, match="2 confidence maps"):
        AnchorBoxes(two_level_spec())(confidences[:1], offsets[:1])
    with pytest.raises(ValueError, match="3 boxes per cell: its offset map needs 12 channels"):
        AnchorBoxes(two_level_spec())(confidences, [offsets[0], offsets[1][..., :8]])
    with pytest.raises(ValueError, match="same number of classes"):
        AnchorBoxes(two_level_spec())([confidences[0], confidences[1][..., :9]], offsets)


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match="epsilon.*positive"):
        L2Normalization(epsilon=0)
    with pytest.raises(ValueError, match="fixed number of channels"):
        L2Normalization().build((None, 3, 3))
    with pytest.raises(ValueError, match="confidence_threshold"):
        DecodeDetections(confidence_threshold=2)
    with pytest.raises(TypeError, match="conf"):
        DecodeDetections(conf=0.5)
    with pytest.raises(ValueError, match="fixed number of anchors"):
        DecodeDetections()(keras.Input((None, 33)))
    with pytest.raises(ValueError, match="none negative"):
        LowestPadding2D(((0, -1), (0, 0)))
