"""SSD MobileNet V1 as TensorFlow's converters write it, with random weights; and any such graph, run in numpy."""

import numpy as np
import tflite_files as tf
from tflite_files import FakeFile, FakeOperator, FakeTensor

from keras_ssd.anchors import named_spec

BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
EXTRAS = ((2, 256, 512), (3, 128, 256), (4, 128, 256), (5, 64, 128))
STEM = "FeatureExtractor/MobilenetV1"
ANCHOR_STEP = 1.65 / 255  # the widest anchor has 1.645 of the image
RELU6 = 3


class Net:
    """Collects tensors and operations; `kind` is how weights are stored."""

    def __init__(self, kind="uint8", seed=0):
        self.kind, self.rng = kind, np.random.default_rng(seed)
        self.tensors, self.operators = [], []

    def tensor(self, *args, **kwargs):
        self.tensors.append(FakeTensor(*args, **kwargs))
        return len(self.tensors) - 1

    def computed(self, name, shape, low=0.0, high=6.0):
        if self.kind not in ("uint8", "int8"):
            return self.tensor(name, shape, "float32")
        scale = (high - low) / 255
        zero = round(-low / scale) - (128 if self.kind == "int8" else 0)
        return self.tensor(name, shape, self.kind, scales=(scale,), zeros=(zero,))

    def weights(self, name, shape, axis):
        """A kernel, quantised as the kind says."""
        fan_in = np.prod(shape[1:3]) * (1 if axis == 3 else shape[3])
        values = self.rng.normal(0, np.sqrt(1.5 / fan_in), shape).astype(np.float32)
        if self.kind == "float32":
            return self.tensor(name, shape, "float32", values)
        if self.kind == "float16":
            half = self.tensor(name, shape, "float16", values.astype(np.float16))
            full = self.tensor(f"{name}_dequantize", shape, "float32")
            self.operators.append(FakeOperator(tf.DEQUANTIZE, (half,), (full,)))
            return full
        if self.kind == "uint8":
            scale, zero = np.ptp(values) / 255, 117
            whole = (values / scale + zero).round().clip(0, 255).astype(np.uint8)
            return self.tensor(name, shape, "uint8", whole, (scale,), (zero,))
        sides = tuple(i for i in range(4) if i != axis)
        scales = np.abs(values).max(axis=sides, keepdims=True) / 127
        whole = (values / scales).round().astype(np.int8)
        return self.tensor(name, shape, "int8", whole, tuple(scales.ravel()), (0,) * shape[axis], axis)

    def bias(self, name, count):
        """Biases so large that some maps reach both ends of ReLU6, while rounding errors do not grow."""
        values = self.rng.normal(0.5, 2, count).astype(np.float32)
        if self.kind in ("float32", "float16"):
            return self.tensor(name, (count,), "float32", values)
        return self.tensor(name, (count,), "int32", (values / 1e-5).round().astype(np.int32), (1e-5,), (0,))

    def convolution(self, x, name, filters, size=1, stride=1, activation=None, depthwise=False):
        _, height, width, channels = self.tensors[x].shape
        head = activation == 0
        suffix = "weights_quant/FakeQuantWithMinMaxVars"
        shape = (1, size, size, channels) if depthwise else (filters, size, size, channels)
        kernel = self.weights(f"{name}/{suffix}", shape, 3 if depthwise else 0)
        bias = self.bias(f"{name}/Conv2D_Fold_bias", filters)
        out = (1, -(-height // stride), -(-width // stride), filters)
        made = self.computed(f"{name}/{'BiasAdd' if head else 'Relu6'}", out, *((-8.0, 8.0) if head else ()))
        if activation is None:  # converters leave the work of ReLU6 to the range of quantised maps
            activation = 0 if self.kind in ("uint8", "int8") else RELU6
        code = tf.DEPTHWISE_CONV_2D if depthwise else tf.CONV_2D
        options = tf.conv_options(stride, activation, depthwise)
        self.operators.append(FakeOperator(code, (x, kernel, bias), (made,), options))
        return made

    def simple(self, code, inputs, name, shape, **options):
        made = self.tensor(name, shape, "float32")
        self.operators.append(FakeOperator(code, tuple(inputs), (made,), **options))
        return made


def ssd_mobilenet(kind="uint8", num_classes=3, channels=None, input_size=(300, 300), seed=0, settings=None):
    """A `FakeFile` of the whole network.

    Args:
        kind: how weights are stored: "uint8" as TOCO did, "int8" by channel as its successor does, or in floats.
        num_classes: without background.
        channels: the same number for all maps; None is width 0.5.
        input_size: (height, width).
        seed: of the weights.
        settings: of the last operation.
    """
    net = Net(kind, seed)
    of = (lambda number: channels) if channels else (lambda number: max(number // 2, 16))
    x = images = net.computed("normalized_input_image_tensor", (1, *input_size, 3), -1.0, 1.0)
    x = net.convolution(x, f"{STEM}/MobilenetV1/Conv2d_0", of(32), 3, 2)
    taps = []
    for i, (filters, stride) in enumerate(BODY, start=1):
        before = net.tensors[x].shape[3]
        x = net.convolution(x, f"{STEM}/MobilenetV1/Conv2d_{i}_depthwise", before, 3, stride, depthwise=True)
        x = net.convolution(x, f"{STEM}/MobilenetV1/Conv2d_{i}_pointwise", of(filters))
        taps += [x] if i in (11, 13) else []
    for i, squeeze, filters in EXTRAS:
        x = net.convolution(x, f"{STEM}/Conv2d_13_pointwise_1_Conv2d_{i}_1x1_{squeeze}", of(squeeze))
        x = net.convolution(x, f"{STEM}/Conv2d_13_pointwise_2_Conv2d_{i}_3x3_s2_{filters}", of(filters), 3, 2)
        taps.append(x)
    return _with_ending(net, images, taps, num_classes, input_size, settings)


def _with_ending(net, images, taps, num_classes, input_size, settings):
    boxes = _joined(net, taps, "BoxEncodingPredictor", "boxes", 4)
    logits = _joined(net, taps, "ClassPredictor", "logits", num_classes + 1)
    scores = net.simple(tf.LOGISTIC, [logits], "convert_scores", net.tensors[logits].shape)
    grids = [net.tensors[tap].shape[1:3] for tap in taps]
    anchors = named_spec("ssd_mobilenet_v1", input_size, grids).anchors_cxcywh()[:, [1, 0, 3, 2]]
    if net.kind in ("uint8", "int8"):
        whole = (anchors / ANCHOR_STEP).round().astype(np.uint8)
        anchors = net.tensor("anchors", whole.shape, "uint8", whole, (ANCHOR_STEP,), (0,))
    else:
        anchors = net.tensor("anchors", anchors.shape, "float32", anchors)
    outputs = [net.tensor(f"{tf.POST_PROCESS}:{i}", (), "float32") for i in range(4)]
    options = tf.post_process(settings)
    net.operators.append(FakeOperator(tf.CUSTOM, (boxes, scores, anchors), tuple(outputs), options, tf.POST_PROCESS))
    return FakeFile(tuple(net.tensors), tuple(net.operators), (images,), tuple(outputs))


def _joined(net, taps, kind, name, columns):
    """The heads of one kind behind each other: (1, N, columns)."""
    parts = []
    for i, tap in enumerate(taps):
        _, height, width, _ = net.tensors[tap].shape
        count = 3 if i == 0 else 6
        x = net.convolution(tap, f"BoxPredictor_{i}/{kind}", count * columns, activation=0)
        shape = (1, height * width * count, columns)
        wanted = net.tensor(f"BoxPredictor_{i}/{kind}_shape", (3,), "int32", np.int32(shape))
        parts.append(net.simple(tf.RESHAPE, [x, wanted], f"BoxPredictor_{i}/Reshape_{kind}", shape))
    total = sum(net.tensors[part].shape[1] for part in parts)
    return net.simple(tf.CONCATENATION, parts, name, (1, total, columns), options={0: ("Int32", 1)})


def run(graph, images):
    """{tensor's place: values} of a `TFLiteGraph`, computed in double precision: a plain restatement of each operation.

    Args:
        graph: what was read.
        images: (B, H, W, 3), -1..1.
    """
    values = {graph.inputs[0]: np.asarray(images, np.float64)}
    for i, tensor in enumerate(graph.tensors):
        if tensor.stored and i not in values:
            values[i] = _real(tensor)
    for operator in graph.operators:
        inputs = [values[i] for i in operator.inputs]
        made, out = operator.outputs[0], graph.tensors[operator.outputs[0]]
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            values[made] = _convolved(*inputs, operator, out)
        elif operator.kind == "RESHAPE":
            values[made] = inputs[0].reshape(len(images), *out.shape[1:])
        elif operator.kind == "CONCATENATION":
            values[made] = np.concatenate(inputs, axis=1)
        elif operator.kind == "LOGISTIC":
            values[made] = 1 / (1 + np.exp(-inputs[0]))
        elif operator.kind == "DEQUANTIZE":
            values[made] = inputs[0]
    return values


def _real(tensor):
    values = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).astype(np.float64)
    if tensor.quantization is None:
        return values
    sides = [1] * values.ndim
    if len(tensor.quantization.scales) > 1:
        sides[tensor.quantization.axis] = -1
    zeros, scales = (
        np.float64(part).reshape(sides) for part in (tensor.quantization.zeros, tensor.quantization.scales)
    )
    return (values - zeros) * scales


def _convolved(x, kernel, bias, operator, out):
    size, stride = kernel.shape[1], operator.options["strides"][0]
    height, width = (-(-side // stride) for side in x.shape[1:3])
    total = [max((n - 1) * stride + size - side, 0) for n, side in zip((height, width), x.shape[1:3], strict=True)]
    x = np.pad(x, ((0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)))
    result = np.zeros((len(x), height, width, len(bias)))
    for row in range(size):
        for column in range(size):
            seen = x[:, row::stride, column::stride][:, :height, :width]
            weights = kernel[:, row, column]
            result += seen * weights[0] if operator.kind.startswith("DEPTH") else seen @ weights.T
    result += bias
    ends_at_six = operator.options["activation"] == "relu6" or out.name.endswith("Relu6")
    return result.clip(0, 6) if ends_at_six else result
