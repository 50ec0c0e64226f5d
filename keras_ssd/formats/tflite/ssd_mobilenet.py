"""The SSD MobileNet V1 of TensorFlow's Object Detection API in a TensorFlow Lite file, with this package's names.

Differences that this reader converts:

- Names: `FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_3_depthwise/...` is conv3_depthwise; the extra layer
  `Conv2d_13_pointwise_1_Conv2d_2_1x1_192` is conv14_1, its 3x3 sister conv14_2, and so on to conv17_2; the heads
  `BoxPredictor_0/ClassPredictor` and `BoxEncodingPredictor` are conv11_pointwise_mbox_conf and ..._mbox_loc.
- Kernels are (out, height, width, in), and (1, height, width, channels) for depthwise ones.
- Weights are integers with a scale; batch normalisation is folded into them.
- The backbone of a quantised file has no ReLU6: the range 0..6 of its quantised maps has the same effect.
- Coordinates: a box's four channels are ty, tx, th, tw.
- Anchors and the settings of the last operation are returned as `PostProcessing`.

Padding, strides, activations and the order of layers are compared with the network that this package builds, since
weights with the right names in another network would fit and detect nothing.

Source: tensorflow/models, research/object_detection: models/ssd_mobilenet_v1_feature_extractor.py,
models/feature_map_generators.py, predictors/heads, export_tflite_ssd_graph_lib.py.
"""

import re
from dataclasses import dataclass
from os import PathLike

import numpy as np

from keras_ssd.formats.named_arrays import Budget, NamedArrays, PostProcessing, WeightFileError
from keras_ssd.formats.tflite.model_file import Operator, read_tflite
from keras_ssd.formats.tflite.tensors import real_values

POST_PROCESS = "TFLite_Detection_PostProcess"
YX_TO_XY = [1, 0, 3, 2]
HALVED = (0, 2, 4, 6, 12)  # convN, or its depthwise half, with stride 2
BODY = ("conv0", *(f"conv{i}_{half}" for i in range(1, 14) for half in ("depthwise", "pointwise")))
EXTRAS = tuple(f"conv{i}_{half}" for i in range(14, 18) for half in (1, 2))
TAPS = ("conv11_pointwise", "conv13_pointwise", "conv14_2", "conv15_2", "conv16_2", "conv17_2")
READ_BY = {
    **dict(zip((*BODY[1:], *EXTRAS), (*BODY, *EXTRAS), strict=False)),
    **{f"{tap}_mbox_{kind}": tap for tap in TAPS for kind in ("loc", "conf")},
}
HIGHEST = 6.0
SCORES = {"LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}


@dataclass(frozen=True)
class _Convolution:
    """One convolution of the file and the layer that it is here."""

    layer: str
    operator: Operator

    @property
    def is_head(self):
        return "_mbox_" in self.layer

    @property
    def stride(self):
        halved = [f"conv{i}" if i == 0 else f"conv{i}_depthwise" for i in HALVED]
        return 2 if self.layer in halved or self.layer in EXTRAS[1::2] else 1


def layer_name(tensor: str) -> str | None:
    """The layer of a weight tensor's name, or None.

    Example:
        >>> layer_name("BoxPredictor_1/ClassPredictor/weights_quant/FakeQuantWithMinMaxVars")
        'conv13_pointwise_mbox_conf'
    """
    if match := re.search(r"(?:^|/)BoxPredictor_([0-5])/(BoxEncodingPredictor|ClassPredictor)/", tensor):
        return f"{TAPS[int(match[1])]}_mbox_{'loc' if match[2].startswith('Box') else 'conf'}"
    if match := re.search(r"(?:^|/)Conv2d_13_pointwise_([12])_Conv2d_([2-5])_[13]x[13](?:_s2)?_\d+/", tensor):
        return f"conv{int(match[2]) + 12}_{match[1]}"
    if match := re.search(r"(?:^|/)Conv2d_(\d|1[0-3])(_depthwise|_pointwise)?/", tensor):
        name = f"conv{match[1]}{match[2] or ''}"
        return name if name in BODY else None
    return None


def read_tflite_arrays(path: str | PathLike[str]) -> NamedArrays:
    """Reads the weights of an SSD MobileNet V1 from a TensorFlow Lite file, as real numbers.

    Returns:
        `NamedArrays`; its `post_processing` has the anchors and the settings of the file's last operation.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the file is damaged, has another network, or an unknown quantization.
    """
    graph = read_tflite(path)
    found = _convolutions(graph)
    _check_network(graph, found)
    makers = {op.outputs[0]: op for op in graph.operators if op.outputs}
    layer_of = {item.operator.outputs[0]: item.layer for item in found.values()}
    budget, layers = Budget(graph.path), {}
    for name in (*BODY, *EXTRAS, *(head for head in READ_BY if "_mbox_" in head)):
        _check_convolution(graph, found[name], layer_of)
        layers[name] = _arrays(graph, found[name], makers, budget)
    return NamedArrays(
        layers, format="tflite", path=graph.path, post_processing=_post_processing(graph, makers, budget)
    )


def _convolutions(graph):
    """{layer: `_Convolution`} by the names of the weights."""
    found = {}
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and len(operator.inputs) > 1 and operator.outputs:
            layer = layer_name(graph.tensors[operator.inputs[1]].name)
            if layer in found:
                raise WeightFileError(f"{graph.path} has two convolutions that are {layer}. The file is damaged.")
            if layer is not None:
                found[layer] = _Convolution(layer, operator)
    return found


def _check_network(graph, found):
    wanted = {*BODY, *EXTRAS, *(name for name in READ_BY if "_mbox_" in name)}
    missing = sorted(wanted - set(found))
    if not missing:
        return
    kinds = sorted({operator.kind for operator in graph.operators})
    raise WeightFileError(
        f"{graph.path} is a TensorFlow Lite file, but no SSD MobileNet V1 of TensorFlow's Object Detection API, the "
        f"only network that is read from such files: {len(missing)} of its {len(wanted)} convolutions are not there, "
        f"among them {', '.join(missing[:4])}. Received: {len(graph.operators)} operations ({', '.join(kinds[:8])})"
    )


def _check_convolution(graph, item, layer_of):
    """Refuses a convolution that is not what this package's network has in its place."""
    options, operator = item.operator.options, item.operator
    wanted = {"padding": "same", "strides": (item.stride, item.stride), "dilations": (1, 1)}
    wrong = [f"{key} {options.get(key)}, not {value}" for key, value in wanted.items() if options.get(key) != value]
    if (operator.kind == "DEPTHWISE_CONV_2D") != item.layer.endswith("_depthwise"):
        wrong.append(f"kind {operator.kind}")
    source = layer_of.get(operator.inputs[0])
    if item.layer != "conv0" and source != READ_BY[item.layer]:
        wrong.append(f"reads {source or 'no layer of the network'}, not {READ_BY[item.layer]}")
    output = graph.tensors[operator.outputs[0]]
    if not _activation_is(options.get("activation"), output.range(), item.is_head):
        wrong.append(f"activation {options.get('activation')} with output range {output.range()}")
    if wrong:
        raise WeightFileError(
            f"{graph.path} holds another network than TensorFlow's SSD MobileNet V1; {item.layer}: {'; '.join(wrong)}."
        )


def _activation_is(activation, output_range, is_head):
    """Whether a convolution has this package's activation: none for heads, else ReLU6, perhaps by its range."""
    if is_head:
        return activation == "none"
    if activation == "relu6":
        return True
    low, high = output_range or (-1.0, 0.0)
    return activation == "none" and low == 0 and abs(high - HIGHEST) < 0.01


def _arrays(graph, item, makers, budget):
    """{"kernel": ..., "bias": ...} of a convolution, laid out as Keras has them."""
    inputs = item.operator.inputs
    kernel = real_values(_weights(graph, inputs[1], makers), graph.path, budget)
    bias = real_values(_weights(graph, inputs[2] if len(inputs) > 2 else -1, makers), graph.path, budget)
    depthwise = item.layer.endswith("_depthwise")
    size = 3 if depthwise or item.layer == "conv0" or item.layer in EXTRAS[1::2] else 1
    channels = kernel.shape[-1] if depthwise and kernel.ndim == 4 else kernel.shape[0] if kernel.ndim else 0
    wanted = (1 if depthwise else channels, size, size)
    if kernel.ndim != 4 or kernel.shape[:3] != wanted or bias.shape != (channels,):
        raise WeightFileError(
            f"{graph.path}: {item.layer} has kernel {kernel.shape} and bias {bias.shape}; expected a kernel of "
            f"{size}x{size} and a bias for each of its outputs."
        )
    if item.layer.endswith("_mbox_loc"):
        kernel, bias = (_yx_to_xy(graph, item.layer, array) for array in (kernel, bias))
    kernel = kernel.transpose(1, 2, 3, 0)  # (height, width, in, out); depthwise: (height, width, channels, 1)
    return {"kernel": np.ascontiguousarray(kernel), "bias": bias}


def _weights(graph, at, makers):
    """The tensor with the values: the input itself, or what a DEQUANTIZE makes it from (float16 files)."""
    if at < 0:
        raise WeightFileError(f"{graph.path}: a convolution has no bias. The file holds another network.")
    maker = makers.get(at)
    if maker is not None and maker.kind == "DEQUANTIZE" and maker.inputs:
        at = maker.inputs[0]
    return graph.tensors[at]


def _yx_to_xy(graph, layer, array):
    if array.shape[0] % 4:
        raise WeightFileError(f"{graph.path}: {layer} must have 4 channels per box. Received: shape={array.shape}")
    boxes = array.reshape(-1, 4, *array.shape[1:])
    return boxes[:, YX_TO_XY].reshape(array.shape)


def _post_processing(graph, makers, budget):
    """The anchors and settings of the last operation, or None for a file that ends before it."""
    operators = [operator for operator in graph.operators if operator.kind == POST_PROCESS]
    if not operators:
        return None
    operator, s = operators[0], operators[0].options
    scales = [s.get(f"{side}_scale", 0) for side in "xywh"]
    if len(operator.inputs) != 3 or not all(np.isfinite(scale) and scale > 0 for scale in scales):
        raise WeightFileError(
            f"{graph.path}: {POST_PROCESS} needs boxes, scores and anchors, and positive x_scale, y_scale, w_scale and "
            f"h_scale. Received: {len(operator.inputs)} inputs, {s}"
        )
    if not 0 <= s.get("nms_iou_threshold", 0.5) <= 1:
        raise WeightFileError(f"{graph.path}: nms_iou_threshold must be between 0 and 1. Received: {s}")
    tensor = graph.tensors[operator.inputs[2]]
    anchors = real_values(tensor, graph.path, budget)
    if anchors.ndim != 2 or anchors.shape[1] != 4:
        raise WeightFileError(f"{graph.path}: anchors must be (N, 4). Received: shape={anchors.shape}")
    scheme = None if tensor.dtype.startswith("float") else tensor.quantization
    return PostProcessing(
        scores=_scores(graph, makers.get(operator.inputs[1]), makers),
        anchors_cxcywh=np.ascontiguousarray(anchors[:, YX_TO_XY]),
        anchors_step=float(scheme.scales.max()) if scheme else 0.0,
        variances=tuple(1 / float(scale) for scale in scales),
        input_size=_input_size(graph),
        settings={name: value for name, value in s.items() if not name.startswith("_")},
    )


def _input_size(graph):
    """(height, width) of the images, after checking that they come as (x - 127.5) / 127.5."""
    tensor = graph.tensors[graph.inputs[0]] if graph.inputs and graph.inputs[0] >= 0 else None
    if tensor is None or len(tensor.shape) != 4 or tensor.shape[3] != 3 or min(tensor.shape[1:3]) < 1:
        raise WeightFileError(
            f"{graph.path}: its input must be images (1, height, width, 3). Received: {tensor and tensor.shape}"
        )
    ends = tensor.range()  # floats come prepared already
    if ends is not None and max(abs(ends[0] + 1), abs(ends[1] - 1)) > 0.02:
        raise WeightFileError(f"{graph.path}: its images must stand for -1..1. Received: input range {ends}")
    return tensor.shape[1:3]


def _scores(graph, maker, makers):
    """How scores follow from the heads."""
    if maker is not None and maker.kind in ("DEQUANTIZE", "QUANTIZE") and maker.inputs:
        maker = makers.get(maker.inputs[0])
    if maker is None or maker.kind not in SCORES:
        raise WeightFileError(
            f"{graph.path}: scores come out of {maker.kind if maker else 'nothing'}; expected {' or '.join(SCORES)}."
        )
    return SCORES[maker.kind]
