"""Each type of Caffe layer: against OpenCV live, and against Caffe's formulas where OpenCV differs or refuses."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
caffe_nets = pytest.importorskip("random_caffe_nets", reason="the benchmarks are not here")
caffe_fuzz = pytest.importorskip("caffe_fuzz", reason="the benchmarks are not here")

pytestmark = pytest.mark.numerical

SIZE = (5, 6)
IMAGE = np.random.default_rng(0).uniform(0, 255, (*SIZE, 3)).astype(np.float32)
DATA = ((IMAGE[..., ::-1] - caffe_nets.MEAN) * caffe_nets.SCALE).transpose(2, 0, 1)[None].astype(np.float64)


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("kind", caffe_fuzz.KINDS)
def test_reference_opencv(kind):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip(f"OpenCV {cv2.__version__} reads no Caffe nets; install opencv-python-headless<5")
    for seed in (0, 1):
        _, difference = caffe_fuzz.compare(kind, seed)
        assert difference < 1e-4, f"{caffe_fuzz.random_net(kind, seed).text}"


def correlate(x, kernel, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    """Caffe's convolution as a sum over the kernel's cells."""
    x = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    filters, depth, rows, columns = kernel.shape
    total = 0
    for i, j in np.ndindex(rows, columns):
        part = x[:, :, i * dilation[0] :, j * dilation[1] :]
        part = part[
            :, :, : part.shape[2] - (rows - 1 - i) * dilation[0], : part.shape[3] - (columns - 1 - j) * dilation[1]
        ]
        part = part[:, :, :: stride[0], :: stride[1]]
        part = part.reshape(x.shape[0], groups, depth, *part.shape[2:])
        weights = kernel[:, :, i, j].reshape(groups, filters // groups, depth)
        total = total + np.einsum("bgdhw,gfd->bgfhw", part, weights)
    return total.reshape(x.shape[0], filters, *total.shape[3:])


def scatter(x, kernel, stride, pad, dilation, groups):
    """Caffe's deconvolution: every value adds the kernel to the result."""
    batch, channels, height, width = x.shape
    each, (rows, columns) = kernel.shape[1], kernel.shape[2:]
    full = np.zeros(
        (
            batch,
            each * groups,
            stride * (height - 1) + 1 + dilation * (rows - 1),
            stride * (width - 1) + 1 + dilation * (columns - 1),
        )
    )
    for c, i, j, u, v in np.ndindex(channels, height, width, rows, columns):
        group = c // (channels // groups)
        place = (
            slice(None),
            slice(group * each, (group + 1) * each),
            i * stride + u * dilation,
            j * stride + v * dilation,
        )
        full[place] += x[:, c, i, j, None] * kernel[c, :, u, v]
    return full[:, :, pad : full.shape[2] - pad, pad : full.shape[3] - pad]


def bilinear(x, height, width):
    """Interp with matrices: row i takes from the rows around i * (size - 1) / (height - 1)."""

    def matrix(length, size):
        places = np.arange(length) * ((size - 1) / (length - 1) if length > 1 else 0)
        return np.maximum(0, 1 - abs(places[:, None] - np.arange(size)))

    return np.einsum("ih,jw,bchw->bcij", matrix(height, x.shape[2]), matrix(width, x.shape[3]), x)


def neighbours(x, size):
    """Sum of squares over nearby channels."""
    squares = np.pad(x**2, ((0, 0), (size // 2,) * 2, (0, 0), (0, 0)))
    return sum(squares[:, i : i + x.shape[1]] for i in range(size))


def channel(values):
    return values[None, :, None, None]


W = {"gamma": random(3), "beta": random(3, seed=2), "wide": random(4, 90), "tall": random(90, 4), "bias": random(4)}
LONG = random(3, 5, 6)
DEPTHWISE, GROUPED, UP = random(3, 1, 3, 3), random(6, 1, 3, 2), random(3, 1, 3, 3)
DILATED = "kernel_size: 3 stride: 2 dilation: 2 pad: 2"

# kind, parameters, blobs, Caffe's formula: (B, C, H, W) -> result
FORMULAS = [
    ("Bias", "", [W["beta"]], lambda x: x + channel(W["beta"])),
    ("Bias", "bias_param { axis: 2 num_axes: -1 }", [LONG[0]], lambda x: x + LONG[0]),
    ("Scale", "scale_param { axis: 2 num_axes: 1 }", [LONG[0, :, 0]], lambda x: x * LONG[0, :, 0, None]),
    ("Scale", "scale_param { num_axes: -1 bias_term: true }", [LONG, LONG + 1], lambda x: x * LONG + LONG + 1),
    ("Scale", "scale_param { axis: -1 }", [LONG[0, 0]], lambda x: x * LONG[0, 0]),
    ("Scale", "scale_param { num_axes: 0 bias_term: true }", [3.0, [0.5]], lambda x: x * 3 + 0.5),
    ("Clip", "clip_param { min: -0.5 max: 1.2 }", [], lambda x: np.clip(x, -0.5, 1.2)),
    ("Clip", "clip_param { min: 0 max: 1 }", [], lambda x: np.clip(x, 0, 1)),
    ("Tile", "tile_param { tiles: 2 }", [], lambda x: np.concatenate([x, x], 1)),
    ("Tile", "tile_param { axis: 3 tiles: 3 }", [], lambda x: np.concatenate([x, x, x], 3)),
    ("Upsample", "upsample_param { scale: 3 }", [], lambda x: x.repeat(3, 2).repeat(3, 3)),
    ("Log", "log_param { base: 10 scale: 0.5 shift: 9 }", [], lambda x: np.log10(9 + 0.5 * x)),
    ("Exp", "exp_param { base: 3 scale: 0.5 shift: -1 }", [], lambda x: 3 ** (0.5 * x - 1)),
    ("Swish", "swish_param { beta: 1.7 }", [], lambda x: x / (1 + np.exp(-1.7 * x))),
    ("HardSwish", "", [], lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ("Power", "power_param { power: 3 scale: -0.4 shift: 0.1 }", [], lambda x: (0.1 - 0.4 * x) ** 3),
    ("PReLU", "", [W["gamma"]], lambda x: np.maximum(x, 0) + channel(W["gamma"]) * np.minimum(x, 0)),
    ("LRN", "lrn_param { k: 2 }", [], lambda x: x * (2 + neighbours(x, 5) / 5) ** -0.75),
    (
        "MVN",
        "mvn_param { eps: 0.5 }",
        [],
        lambda x: (x - x.mean((2, 3), keepdims=True)) / (x.std((2, 3), keepdims=True) + 0.5),
    ),
    (
        "Normalize",
        "norm_param { channel_shared: false eps: 0.01 }",
        [W["gamma"]],
        lambda x: x * channel(W["gamma"]) / np.sqrt((x**2).sum((1, 2, 3), keepdims=True) + 0.01),
    ),
    (
        "BatchNorm",
        "batch_norm_param { eps: 0.1 }",
        [W["gamma"] * 4, W["beta"] ** 2 * 4, [4.0]],
        lambda x: (x - channel(W["gamma"])) / np.sqrt(channel(W["beta"] ** 2) + 0.1),
    ),
    ("BatchNorm", "", [W["gamma"], W["beta"], [0.0]], lambda x: x / np.sqrt(1e-5)),
    (
        "InnerProduct",
        "inner_product_param { num_output: 4 transpose: true }",
        [W["tall"], W["bias"]],
        lambda x: x.reshape(1, 90) @ W["tall"] + W["bias"],
    ),
    (
        "InnerProduct",
        "inner_product_param { num_output: 4 axis: 2 bias_term: false }",
        [W["wide"][:, :30]],
        lambda x: x.reshape(1, 3, 30) @ W["wide"][:, :30].T,
    ),
    (
        "InnerProduct",
        "inner_product_param { num_output: 4 }",
        [W["wide"], W["bias"]],
        lambda x: x.reshape(1, 90) @ W["wide"].T + W["bias"],
    ),
    ("Interp", "interp_param { shrink_factor: 2 }", [], lambda x: bilinear(x, 3, 3)),
    ("Interp", "interp_param { shrink_factor: 2 zoom_factor: 3 }", [], lambda x: bilinear(x, 7, 7)),
    (
        "Interp",
        "interp_param { height: 4 width: 7 pad_beg: -1 pad_end: -2 }",
        [],
        lambda x: bilinear(x[:, :, 1:-2, 1:-2], 4, 7),
    ),
    (
        "Pooling",
        "pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }",
        [],
        lambda x: x[:, :, :4].reshape(1, 3, 2, 2, 3, 2).max((3, 5)),
    ),
    (
        "Pooling",
        "pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }",
        [],
        lambda x: x[:, :, :4].reshape(1, 3, 2, 2, 3, 2).max((3, 5)),
    ),
    (
        "DepthwiseConvolution",
        f"convolution_param {{ num_output: 3 bias_term: false {DILATED} }}",
        [DEPTHWISE],
        lambda x: correlate(x, DEPTHWISE, (2, 2), (2, 2), (2, 2), 3),
    ),
    (
        "Convolution",
        "convolution_param { num_output: 3 bias_term: false group: 3 kernel_size: 3 dilation: 2 pad: 1 }",
        [DEPTHWISE],
        lambda x: correlate(x, DEPTHWISE, (1, 1), (1, 1), (2, 2), 3),
    ),
    (
        "Convolution",
        f"convolution_param {{ num_output: 4 {DILATED} }}",
        [random(4, 3, 3, 3), W["bias"]],
        lambda x: correlate(x, random(4, 3, 3, 3), (2, 2), (2, 2), (2, 2)) + channel(W["bias"]),
    ),
    (
        "Convolution",
        "convolution_param { num_output: 6 bias_term: false group: 3 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 }",
        [GROUPED],
        lambda x: correlate(x, GROUPED, (1, 2), groups=3),
    ),
    (
        "Convolution",
        "convolution_param { num_output: 6 bias_term: false group: 3 kernel_h: 3 kernel_w: 2 }",
        [GROUPED],
        lambda x: correlate(x, GROUPED, groups=3),
    ),
    (
        "Convolution",
        "convolution_param { num_output: 4 bias_term: false kernel_size: 3 stride: 2 pad: 1 }",
        [random(4, 3, 3, 3)],
        lambda x: correlate(x, random(4, 3, 3, 3), (2, 2), (1, 1)),
    ),
    (
        "Deconvolution",
        f"convolution_param {{ num_output: 3 bias_term: false group: 3 {DILATED} }}",
        [UP],
        lambda x: scatter(x, UP, 2, 2, 2, 3),
    ),
    ("Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }", [], lambda x: x.reshape(1, 3, 5, 6, 1)),
    ("Reshape", "reshape_param { shape { dim: -1 dim: 15 dim: 6 } }", [], lambda x: x.reshape(1, 15, 6)),
    ("Permute", "permute_param { order: 0 order: 3 }", [], lambda x: x.transpose(0, 3, 1, 2)),
    ("ShuffleChannel", "shuffle_channel_param { group: 3 }", [], lambda x: x),
    ("Softmax", "softmax_param { axis: -2 }", [], lambda x: np.exp(x) / np.exp(x).sum(2, keepdims=True)),
]


@pytest.mark.parametrize("direct", [True, False], ids=["image", "features"])
@pytest.mark.parametrize("index", range(len(FORMULAS)), ids=lambda index: f"{FORMULAS[index][0]}{index}")
def test_reference_formulas(index, direct):
    """On the image, whose channels stand in RGB order in the model and BGR in the net, and on features."""
    kind, params, blobs, formula = FORMULAS[index]
    net, x = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE), DATA
    if not direct:
        x = caffe_nets.in_keras(net, IMAGE, net.channels(3)).astype(np.float64)
    net.add(kind, params, blobs)
    y = caffe_nets.in_keras(net, IMAGE)
    np.testing.assert_allclose(y, formula(x), rtol=1e-4, atol=2e-5)


def test_values_pooling_behind_the_image():
    """Without padding Caffe keeps a window that begins behind the image: its maximum is the lowest number."""
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.add("Pooling", "pooling_param { kernel_size: 1 stride: 3 }")
    y = caffe_nets.in_keras(net, IMAGE)
    assert y.shape == (1, 3, 3, 3)
    np.testing.assert_allclose(y[:, :, :2, :2], DATA[:, :, ::3, ::3], rtol=1e-5, atol=1e-6)
    assert (y[:, :, 2] < -1e38).all()


def joined(kind, params="", order=(0, 1, 2), **pooled):
    """A layer on [pooled image, image, features], and these three in Caffe's order of axes."""
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    features = net.channels(3)
    y = caffe_nets.in_keras(net, IMAGE).astype(np.float64)
    factor = net.add("Pooling", "pooling_param { pool: AVE global_pooling: true }")
    if pooled.get("flat"):
        factor = net.add("Flatten")
    net.add(kind, params, bottoms=[[factor, "data", features][index] for index in order])
    return y.mean((2, 3), keepdims=True), DATA, y, caffe_nets.in_keras(net, IMAGE)


def test_reference_joined_blobs():
    a, x, y, found = joined("Axpy")
    np.testing.assert_allclose(found, a * x + y, rtol=1e-4, atol=1e-5)
    a, x, _, found = joined("Scale", "scale_param { axis: 0 }", (1, 0), flat=True)
    np.testing.assert_allclose(found, a * x, rtol=1e-4, atol=1e-5)
    a, x, _, found = joined("Axpy", order=(0, 1, 1))
    np.testing.assert_allclose(found, a * x + x, rtol=1e-4, atol=1e-5)
    a, _, y, found = joined("Bias", "bias_param { axis: 0 }", (2, 0), flat=True)
    np.testing.assert_allclose(found, a + y, rtol=1e-4, atol=1e-5)
    _, x, y, found = joined("Scale", "scale_param { axis: 0 }", (2, 1))
    np.testing.assert_allclose(found, x * y, rtol=1e-4, atol=1e-5)
    _, x, y, found = joined("Eltwise", "eltwise_param { coeff: 2 coeff: -1 }", (1, 2))
    np.testing.assert_allclose(found, 2 * x - y, rtol=1e-4, atol=1e-5)


def test_reference_differently_ordered_blobs():
    """One blob moved by a Permute meets one that was not."""
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, (6, 6))
    image = np.random.default_rng(1).uniform(0, 255, (6, 6, 3)).astype(np.float32)
    x = net.channels(6)
    turned = net.add("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    net.add("Eltwise", "eltwise_param { operation: PROD }", bottoms=[turned, x])
    product = net.top
    net.add("Concat", "concat_param { axis: 2 }", bottoms=[x, turned])
    value = caffe_nets.in_keras(net, image, x)
    moved = value.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(caffe_nets.in_keras(net, image, product), moved * value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(caffe_nets.in_keras(net, image), np.concatenate([value, moved], 2), rtol=1e-5)


def test_values_joined_channels_and_flat_mean_of_the_image():
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    doubled = net.add("Power", "power_param { scale: 2 }")
    net.add("Concat", bottoms=["data", doubled])
    found = caffe_nets.in_keras(net, IMAGE)
    np.testing.assert_allclose(found, np.concatenate([DATA, 2 * DATA], 1), rtol=1e-5, atol=1e-6)
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.add("Pooling", "pooling_param { pool: AVE global_pooling: true }")
    net.add("Flatten")
    np.testing.assert_allclose(caffe_nets.in_keras(net, IMAGE), DATA.mean((2, 3)), rtol=1e-4, atol=1e-6)
