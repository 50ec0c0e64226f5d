"""The end of a detector: heads, priors and DetectionOutput, with the names of the original SSD."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.images import Image
from keras_ssd.caffe.exporter.priors import prior_box
from keras_ssd.caffe.exporter.writing import Net, Step
from keras_ssd.caffe.files import CaffeLayer
from keras_ssd.decoding import DecodeOptions
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.layer_calls import Call
from keras_ssd.layers import AnchorBoxes, DecodeDetections
from keras_ssd.layout import CHANNELS_FIRST

ENDS: tuple[Any, ...] = (AnchorBoxes, DecodeDetections)
# Options that Caffe's DetectionOutput lacks, with the values that it uses.
FIXED: dict[str, Any] = {"class_agnostic": False, "average_boxes": False, "max_per_class": None, "clip_boxes": False}


def ends_of(model: Any, calls: Sequence[Call]) -> tuple[Call | None, Call | None]:
    """The calls of `AnchorBoxes` and `DecodeDetections` at the end of a model; (None, None) for a model without them.

    Raises:
        ExportError: such layers elsewhere than at the end.
    """
    anchors = [call for call in calls if isinstance(call.layer, AnchorBoxes)]
    decoders = [call for call in calls if isinstance(call.layer, DecodeDetections)]
    if not anchors and not decoders:
        return None, None
    last = (decoders or anchors)[0]
    joined = len(anchors) == 1 and (not decoders or decoders[0].inputs[0] is anchors[0].outputs[0])
    ends = len(model.outputs) == 1 and model.outputs[0] is last.outputs[0]
    readers = [call for call in calls if anchors and any(x is anchors[0].outputs[0] for x in call.inputs)]
    if not joined or len(decoders) > 1 or not ends or len(readers) != len(decoders):
        raise ExportError(
            f"Model '{model.name}' must end in one AnchorBoxes layer, with or without one DecodeDetections after it, "
            f"and have no other output. Received: {len(anchors)} AnchorBoxes, {len(decoders)} DecodeDetections, "
            f"{len(model.outputs)} outputs"
        )
    return anchors[0], decoders[0] if decoders else None


def options_of(model: Any, decoder: Call | None, given: Mapping[str, Any] | None) -> tuple[DecodeOptions, str]:
    """(`DecodeOptions`, how scores are made): the given options, then the decoder's or the model's own."""
    if decoder is not None:
        options = {**vars(decoder.layer.options), **(given or {})}
        kind = DecodeOptions(**options).kind_of_scores(decoder.layer.from_logits)
    else:
        options = {**getattr(model, "final_decoding", {}), **(given or {})}
        kind = DecodeOptions(**options).scores
    options = DecodeOptions(**options)
    other = {name: getattr(options, name) for name, value in FIXED.items() if getattr(options, name) != value}
    if other.get("clip_boxes") == "before":  # Caffe itself ignores it, OpenCV clips
        del other["clip_boxes"]
    if other:
        raise ExportError(
            f"Caffe's DetectionOutput has no {', '.join(other)}. Received: decoding={other}. Export the model without "
            f"its decoder, or pass decoding={ {name: FIXED[name] for name in other} }."
        )
    return options, kind


def write_heads(
    net: Net, call: Call, blobs: Mapping[int, Blob], image: Image, detection: tuple[DecodeOptions, str]
) -> str:
    """Writes everything after the heads' convolutions; returns the name of the blob of detections."""
    spec = call.layer.spec
    options, scores = detection
    inputs = [blobs[id(tensor)] for tensor in call.inputs]
    confidence_maps, offset_maps = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
    classes = Predictions.classes_in(call.outputs[0].shape[-1]) + 1
    offsets, confidence, priors, cut, moved = [], [], [], [], []
    for index, maps in enumerate(zip(offset_maps, confidence_maps, strict=True)):
        step = Step(net, call.layer, call.outputs[0].shape)
        prior = prior_box(spec, index, image.blob.shape[1:3])
        if prior.order != tuple(range(len(prior.order))):
            moved.append(f"level {index} {list(prior.order)}")
        cut += [(index, size) for size in prior.fractions]
        names = [_head_name(net, x, kind, index) for x, kind in zip(maps, ("loc", "conf"), strict=True)]
        priors.append(_prior(step, net, maps[0], names[0], prior, image))
        for x, name, width, parts in zip(maps, names, (4, classes), (offsets, confidence), strict=True):
            parts.append(_flattened(step, net, _reordered(step, x, prior.order, width), name))
    if moved:
        net.note(
            "The boxes of a cell and the heads' filters were reordered as PriorBox orders them. Their places in the "
            f"model are: {', '.join(moved)}."
        )
    if cut:
        listed = ", ".join(f"{size:g} (level {index})" for index, size in cut[:8]) + (", ..." if len(cut) > 8 else "")
        net.note(
            f"Sizes of anchors with fractions of a pixel: {listed}. OpenCV uses them unchanged; Caffe itself truncates "
            "them, and so does from_caffe without truncate_sizes=False."
        )
    if any(level.shifts_hw for level in spec.levels):
        net.note(
            "Its PriorBox layers have the fields fixed_size and density of Caffe's forks. Caffe itself and OpenCV do "
            "not know them; from_caffe and OpenVINO read them."
        )
    if spec.image_size != image.blob.shape[1:3]:
        net.note("OpenCV does not know img_h and img_w of PriorBox, which this net needs.")
    loc = _layer(net, "mbox_loc", "Concat", offsets, {"concat_param": {"axis": 1}})
    conf = _layer(net, "mbox_conf", "Concat", confidence, {"concat_param": {"axis": 1}})
    prior = _layer(net, "mbox_priorbox", "Concat", priors, {"concat_param": {"axis": 2}})
    conf = _scores(net, conf, classes, scores)
    if options.calibration:
        plain = options.before_calibration
        net.note(
            "Caffe's DetectionOutput cannot calibrate scores: the net's are not calibrated, and its threshold is "
            f"{plain.floor:.3g} instead of {options.floor:.3g}."
        )
        options = plain
    return _layer(net, "detection_out", "DetectionOutput", [loc, conf, prior], _detection(options, classes))


def _layer(net, name, kind, bottoms, params=None):
    name = net.unique(name)
    net.append(CaffeLayer(name, kind, tuple(bottoms), (name,), params or {}))
    return name


def _head_name(net, x, kind, index):
    """The prefix of the layers after a head: the name of its convolution, as in the original."""
    return x.name if x.settled and x.order == CHANNELS_FIRST else f"level{index}_mbox_{kind}"


def _reordered(step, x, order, width):
    """The head's map with the boxes of a cell in Caffe's order."""
    if order == tuple(range(len(order))):
        return x
    sources = np.asarray(order)[:, None] * width + np.arange(width)
    return step.mapped(x, sources.ravel())


def _flattened(step, net, x, name):
    """Writes the map's values, box by box; returns the blob's name."""
    x = step.settle(x)
    if x.order == CHANNELS_FIRST:
        bottom = _layer(net, f"{name}_perm", "Permute", [x.name], {"permute_param": {"order": [0, 2, 3, 1]}})
    else:
        bottom = step.plain(x).name
    return _layer(net, f"{name}_flat", "Flatten", [bottom], {"flatten_param": {"axis": 1}})


def _prior(step, net, x, name, prior, image):
    """Writes a level's priors; returns the blob's name. As in the original, their grid is that of the head's input."""
    x = step.maps(x)
    maker = net.layers[net.maker(x)]
    source = x.name
    if maker.type == "Convolution" and _keeps_size(maker):
        source = maker.bottoms[0]
    stem = name.removesuffix("_mbox_loc")
    params = {"prior_box_param": prior.settings}
    return _layer(net, f"{stem}_mbox_priorbox", "PriorBox", [source, image.name], params)


def _keeps_size(layer):
    s = layer.settings("convolution_param")
    kernel, pad, dilation = (tuple(s[name]) for name in ("kernel_size", "pad", "dilation"))
    if len(kernel) != 1 or s["stride"] or any(s.has(name) for name in ("pad_h", "stride_h")):
        return False
    return 2 * (pad or (0,))[0] == (dilation or (1,))[0] * (kernel[0] - 1)


def _scores(net, conf, classes, scores):
    """Writes the activation of the scores; returns the blob's name."""
    if scores == "sigmoid":
        return _layer(net, "mbox_conf_sigmoid", "Sigmoid", [conf])
    if scores == "softmax":
        dims = {"reshape_param": {"shape": {"dim": [0, -1, classes]}}}
        conf = _layer(net, "mbox_conf_reshape", "Reshape", [conf], dims)
        conf = _layer(net, "mbox_conf_softmax", "Softmax", [conf], {"softmax_param": {"axis": 2}})
        conf = _layer(net, "mbox_conf_flatten", "Flatten", [conf], {"flatten_param": {"axis": 1}})
    return conf


def _detection(options, classes):
    """The parameter message of DetectionOutput."""
    param = {
        "num_classes": classes,
        "share_location": True,
        "background_label_id": 0,
        "nms_param": {"nms_threshold": options.iou_threshold, "top_k": options.top_k or -1},
        "code_type": options.code_type.upper(),
        "keep_top_k": options.keep_top_k or -1,
    }
    if options.eta != 1.0:
        param["nms_param"]["eta"] = options.eta
    if options.clip_boxes == "before":
        param["clip"] = True
    if options.variance_encoded_in_target:
        param["variance_encoded_in_target"] = True
    if options.confidence_threshold is not None:
        param["confidence_threshold"] = options.confidence_threshold
    return {"detection_output_param": param}
