"""The layers that Caffe has and Keras has not: values against naive loops, Caffe and OpenCV."""

import itertools
import json
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_ssd import layers
from keras_ssd.backbones.blocks import max_pool
from keras_ssd.padding import caffe_padding

pytestmark = pytest.mark.numerical


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(layer, *inputs):
    return ops.convert_to_numpy(layer(inputs[0] if len(inputs) == 1 else list(inputs)))


def naive_pool(x, kernel, stride, pad, mode, ceil_mode=True):
    """`PoolingLayer::Forward_cpu` word by word, on (B, H, W, C)."""
    _, height, width, _ = x.shape
    rounding = np.ceil if ceil_mode else np.floor
    numbers = zip((height, width), kernel, stride, pad, strict=True)
    pooled = [int(rounding((n + 2 * p - k) / s)) + 1 for n, k, s, p in numbers]
    if any(pad):
        for axis, size in enumerate((height, width)):
            if (pooled[axis] - 1) * stride[axis] >= size + pad[axis]:
                pooled[axis] -= 1
    y = np.zeros((x.shape[0], *pooled, x.shape[3]), np.float64)
    for i, j in itertools.product(*map(range, pooled)):
        top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
        bottom, right = min(top + kernel[0], height + pad[0]), min(left + kernel[1], width + pad[1])
        area = (bottom - top) * (right - left)
        window = x[:, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)].astype(np.float64)
        y[:, i, j] = window.max((1, 2)) if mode == "max" else window.sum((1, 2)) / area
    return y


# (height, width), kernel, stride, pad: odd and even, unequal axes, windows beyond the padding, one window left out
POOLS = [
    ((5, 7), (2, 2), (2, 2), (0, 0)),
    ((6, 7), (3, 3), (2, 2), (0, 0)),
    ((6, 7), (3, 3), (2, 2), (1, 1)),
    ((6, 7), (2, 2), (2, 2), (1, 1)),
    ((9, 8), (3, 3), (1, 1), (1, 1)),
    ((9, 8), (3, 2), (2, 1), (1, 0)),
    ((8, 9), (2, 4), (3, 3), (0, 2)),
    ((4, 4), (4, 4), (1, 1), (0, 0)),
    ((1, 6), (2, 3), (2, 2), (0, 1)),
    ((10, 11), (5, 3), (4, 3), (2, 1)),
    ((6, 9), (1, 4), (2, 3), (0, 2)),  # padding on one axis leaves out the last window of the other one
]


@pytest.mark.parametrize("ceil_mode", [True, False])
@pytest.mark.parametrize(("size", "kernel", "stride", "pad"), POOLS)
def test_reference_pooling(size, kernel, stride, pad, ceil_mode):
    if not ceil_mode and any(n + 2 * p < k for n, k, p in zip(size, kernel, pad, strict=True)):
        with pytest.raises(ValueError, match="too small"):
            caffe_padding(size, kernel, stride, pad, ceil_mode)
        return
    x = random(2, *size, 3) - 3.0  # negative: neither padding nor what lies beyond it may win
    y = run(layers.PaddedAveragePooling2D(kernel, stride, pad, ceil_mode=ceil_mode), x)
    np.testing.assert_allclose(y, naive_pool(x, kernel, stride, pad, "average", ceil_mode), rtol=1e-5, atol=1e-5)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, max_pool(inputs, "pool", kernel, stride, pad, ceil_mode=ceil_mode))
    expected = naive_pool(x, kernel, stride, pad, "max", ceil_mode)
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), expected.astype(np.float32))


def test_values_average_of_a_corner():
    x = np.full((1, 3, 3, 1), 6.0, np.float32)
    y = run(layers.PaddedAveragePooling2D(3, 2, 1), x)[0, :, :, 0]
    np.testing.assert_allclose(y, [[24 / 9, 24 / 9], [24 / 9, 24 / 9]], rtol=1e-6)  # four of nine cells are no padding
    y = run(layers.PaddedAveragePooling2D(2, 2), x)[0, :, :, 0]
    np.testing.assert_allclose(y, 6.0, rtol=1e-6)  # what lies beyond the map does not count


def naive_deconvolution(x, kernel, bias, strides, padding, dilation, groups):
    batch, height, width, channels = x.shape
    rows, columns, each, _ = kernel.shape
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, (rows, columns), strict=True)]
    sizes = (s * (n - 1) + r for s, n, r in zip(strides, (height, width), reach, strict=True))
    full = np.zeros((batch, *sizes, each * groups))
    for i, j, u, v, c in itertools.product(range(height), range(width), range(rows), range(columns), range(channels)):
        place = i * strides[0] + u * dilation[0], j * strides[1] + v * dilation[1]
        group = c // (channels // groups)
        full[:, place[0], place[1], group * each : (group + 1) * each] += x[:, i, j, c, None] * kernel[u, v, :, c]
    (top, left), (_, tall, wide, _) = padding, full.shape
    return full[:, top : tall - top, left : wide - left] + bias


# size, channels, filters, kernel, strides, padding, dilation, groups
DECONVOLUTIONS = [
    ((3, 4), 4, 6, (4, 4), (2, 2), (1, 1), (1, 1), 1),
    ((3, 4), 4, 4, (4, 4), (2, 2), (1, 1), (1, 1), 4),
    ((3, 2), 4, 8, (3, 3), (2, 3), (1, 0), (1, 1), 4),
    ((2, 3), 4, 6, (3, 2), (1, 2), (0, 1), (1, 1), 2),
    ((4, 3), 2, 3, (3, 3), (2, 2), (2, 2), (2, 2), 1),
    ((4, 3), 4, 4, (2, 3), (3, 1), (1, 1), (3, 2), 2),
    ((3, 3), 3, 2, (1, 1), (3, 2), (0, 0), (1, 1), 1),
    ((3, 3), 3, 3, (1, 1), (1, 1), (0, 0), (1, 1), 3),
    ((2, 2), 2, 2, (5, 4), (4, 4), (0, 0), (1, 1), 1),
]


@pytest.mark.parametrize("case", range(len(DECONVOLUTIONS)))
def test_reference_deconvolution(case):
    size, channels, filters, kernel, strides, padding, dilation, groups = DECONVOLUTIONS[case]
    layer = layers.Deconvolution2D(filters, kernel, strides, padding, dilation, groups)
    x = random(2, *size, channels)
    weights = [random(*kernel, filters // groups, channels, seed=1), random(filters, seed=2)]
    layer.build(x.shape)
    layer.set_weights(weights)
    expected = naive_deconvolution(x, *weights, strides, padding, dilation, groups)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-4, atol=1e-5)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, *expected.shape[1:])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "cropping"), [((4, 6), ((0, 0), (0, 0))), ((6, 5), ((1, 2), (0, 1)))])
@pytest.mark.parametrize(("height", "width"), [(7, 11), (4, 6), (1, 3), (2, 1), (10, 4)])
def test_reference_bilinear_resize(size, cropping, height, width):
    x = random(2, *size, 3)
    (top, bottom), (left, right) = cropping
    part = x[:, top : size[0] - bottom, left : size[1] - right].astype(np.float64)
    expected = np.zeros((2, height, width, 3))
    for i, j in itertools.product(range(height), range(width)):
        y = i * (part.shape[1] - 1) / (height - 1) if height > 1 else 0
        z = j * (part.shape[2] - 1) / (width - 1) if width > 1 else 0
        for u, v in itertools.product(range(part.shape[1]), range(part.shape[2])):
            expected[:, i, j] += max(0, 1 - abs(y - u)) * max(0, 1 - abs(z - v)) * part[:, u, v]
    layer = layers.BilinearResize(height, width, cropping=cropping)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-5)


def test_values_shuffled_channels():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(run(layers.ShuffleChannels(2), x).ravel(), [0, 3, 1, 4, 2, 5])
    np.testing.assert_array_equal(run(layers.ShuffleChannels(3), x).ravel(), [0, 2, 4, 1, 3, 5])


def test_values_affine():
    x = random(2, 3, 5, 4)
    layer = layers.ChannelAffine()
    np.testing.assert_array_equal(run(layer, x), x)
    assert [weight.name for weight in layer.weights] == ["gamma", "beta"]
    layer.set_weights([np.float32([1, 2, 3, 4]), np.float32([0, 1, 0, -1])])
    np.testing.assert_allclose(run(layer, x), x * [1, 2, 3, 4] + [0, 1, 0, -1], rtol=1e-6)
    shared = layers.ChannelAffine(bias=False, shared=True)
    shared.build(x.shape)
    shared.set_weights([np.float32([3])])
    np.testing.assert_allclose(run(shared, x), 3 * x, rtol=1e-6)
    table = layers.ChannelAffine(scale=False, axis=(-1, 1))
    table.build(x.shape)
    table.set_weights([random(3, 4)])
    np.testing.assert_allclose(run(table, x), x + random(3, 4)[None, :, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("power", [1, 2, 0.5, 0, 3, -1, 0.3])
def test_values_power(power):
    x = np.abs(random(2, 7)) + 0.1
    np.testing.assert_allclose(run(layers.Power(power, 0.5, 2), x), (2 + 0.5 * x) ** power, rtol=1e-5)
    assert run(layers.Power(3.0), np.float32([-2]))[0] == -8


def test_values_small_layers():
    x, y = random(2, 3, 4, 6), random(2, 3, 4, 6, seed=1)
    np.testing.assert_array_equal(run(layers.AbsoluteValue(), x), np.abs(x))
    np.testing.assert_allclose(run(layers.WeightedAdd((1, -0.5)), x, y), x - 0.5 * y, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run(layers.SliceAxis(-1, 2, 5), x), x[..., 2:5])
    np.testing.assert_array_equal(run(layers.SliceAxis(1, 1), x), x[:, 1:])
    expected = np.log(5 + 0.5 * x) / np.log(10)
    np.testing.assert_allclose(run(layers.Logarithm(10, 0.5, 5), x), expected, rtol=1e-5)


@pytest.mark.parametrize("within", [True, False])
def test_reference_local_response(within):
    x = random(2, 4, 5, 6)
    expected = np.zeros(x.shape)
    for i, j, c in itertools.product(range(4), range(5), range(6)):
        if within:
            near = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, c]
            mean = np.square(near, dtype=np.float64).sum((1, 2)) / 9
        else:
            mean = np.square(x[:, i, j, max(c - 1, 0) : c + 2], dtype=np.float64).sum(1) / 3
        expected[:, i, j, c] = x[:, i, j, c] * (2 + 0.5 * mean) ** -0.75
    layer = layers.LocalResponseNormalization(3, 0.5, 0.75, 2, within_channel=within)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("across", [True, False])
def test_reference_mean_variance(across):
    x = random(2, 4, 5, 3) * 3 + 1
    axes = (1, 2, 3) if across else (1, 2)
    centred = x - x.mean(axes, keepdims=True)
    expected = centred / (x.std(axes, keepdims=True) + 0.1)
    layer = layers.MeanVarianceNormalization(across_channels=across, epsilon=0.1)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-4, atol=1e-5)
    layer = layers.MeanVarianceNormalization(False, across_channels=across)
    np.testing.assert_allclose(run(layer, x), centred, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "case", ["pool2x2_75", "pool2x2_negative", "pool3x3s1p1_negative", "pool3x3s2p1", "pool2x2s2p1"]
)
def test_reference_caffe_max_pooling(oracle, case):
    reference = oracle("caffe", "pool_conv.npz")
    words = json.loads(str(reference["params"]))[case].replace(":", "").split()
    numbers = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    x, y = (np.transpose(reference[f"{case}_{end}"], (0, 2, 3, 1)) for end in "xy")
    inputs = keras.Input(x.shape[1:])
    pooled = max_pool(inputs, "pool", *((numbers.get(key, 0),) * 2 for key in ("kernel_size", "stride", "pad")))
    np.testing.assert_array_equal(ops.convert_to_numpy(keras.Model(inputs, pooled)(x)), y)


def every_layer():
    return [
        layers.AbsoluteValue(),
        layers.BilinearResize(7, 5, cropping=((0, 1), (1, 0))),
        layers.ChannelAffine(bias=False, axis=(1, 3)),
        layers.ChannelAffine(shared=True),
        layers.Deconvolution2D(6, (3, 4), 2, (0, 1), groups=3, kernel_regularizer="l2"),
        layers.Deconvolution2D(6, 4, 2, 1, 1, 6, False, kernel_initializer="he_normal"),
        layers.LocalResponseNormalization(3, 0.1, within_channel=True),
        layers.LocalResponseNormalization(),
        layers.Logarithm(2, 0.1, 9),
        layers.MeanVarianceNormalization(across_channels=True),
        layers.PaddedAveragePooling2D((3, 2), 2, (1, 0), ceil_mode=False),
        layers.PaddedAveragePooling2D(3, 2),
        layers.Power(2, 0.5, 1),
        layers.ShuffleChannels(3),
        layers.SliceAxis(-1, 1, 4),
        layers.WeightedAdd((0.5, -1)),
    ]


def inputs_of(layer, shape=(2, 5, 6, 6)):
    x = random(*shape)
    return [x, random(*shape, seed=1)] if isinstance(layer, layers.WeightedAdd) else x


@pytest.mark.parametrize("index", range(len(every_layer())))
def test_roundtrip_config_shape_and_file(index, tmp_path):
    layer = every_layer()[index]
    config = json.loads(json.dumps(layer.get_config()))
    assert layer.__class__.from_config(config).get_config() == layer.get_config()
    x = inputs_of(layer)
    inputs = keras.tree.map_structure(lambda v: keras.Input(v.shape[1:]), x)
    model = keras.Model(inputs, layer(inputs))
    expected = ops.convert_to_numpy(model(x))
    assert model.output_shape == (None, *expected.shape[1:])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("index", range(len(every_layer())))
def test_values_mixed_precision(index, policy):
    layer = every_layer()[index]
    half = layer.__class__.from_config({**layer.get_config(), "dtype": policy})
    x = inputs_of(layer)
    expected = run(layer, *x) if isinstance(x, list) else run(layer, x)
    half.build([v.shape for v in x] if isinstance(x, list) else x.shape)
    half.set_weights(layer.get_weights())
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), expected, rtol=0.03, atol=0.06)


@pytest.mark.parametrize("index", range(len(every_layer())))
def test_values_layers_train(index):
    """A step of training moves the weights before and inside the layer, to finite values."""
    layer = every_layer()[index]
    x = random(2, 5, 6, 6)
    x[1] = 0.0  # zeros are where roots and powers break
    inputs = keras.Input(x.shape[1:])
    before = keras.layers.Conv2D(6, 1, padding="same", name="before")(inputs)
    y = layer([before, inputs] if isinstance(layer, layers.WeightedAdd) else before)
    model = keras.Model(inputs, y)
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    start = [w.copy() for w in model.get_weights()]
    model.fit(x, random(2, *y.shape[1:], seed=2), verbose=0)
    for old, new, weight in zip(start, model.get_weights(), model.weights, strict=True):
        assert np.isfinite(new).all(), weight.path
        assert (old != new).any(), weight.path


REJECTED = (
    (lambda: layers.PaddedAveragePooling2D(0), "`pool_size` must be a whole number of at least 1"),
    (lambda: layers.PaddedAveragePooling2D(2, padding=(1, 2, 3)), "`padding` must be a whole number"),
    (lambda: layers.PaddedAveragePooling2D(2)(keras.Input((None, 3, 1))), "height and width are known"),
    (lambda: layers.PaddedAveragePooling2D(9, 1)(keras.Input((3, 3, 1))), "too small for pooling"),
    (lambda: layers.ChannelAffine(False, False), "`scale`, `bias` or both"),
    (lambda: layers.ChannelAffine(axis=0)(keras.Input((3,))), "other than the batch"),
    (lambda: layers.ChannelAffine()(keras.Input((None,))), "fixed size on axis"),
    (lambda: layers.Deconvolution2D(3, 2, groups=2), "multiple of `groups`"),
    (lambda: layers.Deconvolution2D(4, 2, groups=2)(keras.Input((3, 3, 5))), "channels are a multiple of 2"),
    (lambda: layers.Deconvolution2D(4, 1, padding=2)(keras.Input((3, 3, 5))), "leaves nothing"),
    (lambda: layers.BilinearResize(2, 0), "(height, width)"),
    (lambda: layers.BilinearResize(2, 2, cropping=((2, 1), (0, 0)))(keras.Input((3, 3, 1))), "one cell left"),
    (lambda: layers.ShuffleChannels(4)(keras.Input((2, 2, 6))), "multiple of 4 groups"),
    (lambda: layers.SliceAxis(1, 3, 3), "0 <= start < stop"),
    (lambda: layers.SliceAxis(0, 1)(keras.Input((3,))), "other than the batch"),
    (lambda: layers.SliceAxis(1, 1, 4)(keras.Input((3,))), "exceeds the input"),
    (lambda: layers.WeightedAdd(()), "one number for each input"),
    (lambda: layers.WeightedAdd((1, 1))([keras.Input((3,)), keras.Input((4,))]), "as many inputs of one shape"),
    (lambda: layers.LocalResponseNormalization(4), "odd and positive"),
    (lambda: layers.Logarithm(1), "other than 1"),
)


@pytest.mark.parametrize(("make", "message"), REJECTED)
def test_rejects_bad_arguments(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
