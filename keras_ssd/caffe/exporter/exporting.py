"""`to_caffe`: a model of this package -> prototxt and caffemodel."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_ssd.caffe.exporter import kinds as kinds
from keras_ssd.caffe.exporter.heads import ENDS, ends_of, options_of, write_heads
from keras_ssd.caffe.exporter.images import write_image
from keras_ssd.caffe.exporter.registry import WRITERS
from keras_ssd.caffe.exporter.report import CaffeExport
from keras_ssd.caffe.exporter.writing import Net, Step
from keras_ssd.caffe.files import CaffeNet, write_caffemodel, write_prototxt
from keras_ssd.caffe.importer.names import caffe_name
from keras_ssd.calling import checked_arguments
from keras_ssd.exporters.model_graph import ExportError, calls_of, writer_of
from keras_ssd.layer_calls import readers_of
from keras_ssd.layout import usual_order
from keras_ssd.models.model import SSD
from keras_ssd.replacing import replacing


@checked_arguments
def to_caffe(
    model: SSD,
    prototxt: str | os.PathLike[str],
    caffemodel: str | os.PathLike[str],
    *,
    decoding: Mapping[str, Any] | None = None,
    channel_order: str = "bgr",
    mean_inside: bool = False,
) -> CaffeExport:
    """Writes a model as a Caffe net, for OpenCV 4 (`cv2.dnn.readNetFromCaffe`) and devices that run Caffe.

    A detector is written with heads, priors and DetectionOutput under the names of the original SSD, for any backbone.
    The first convolution takes BGR. Mean and scale stay outside the net, as Caffe's users expect: the report and the
    Input layer's `transform_param` state them. A model without detection heads is written up to its outputs.

    Args:
        model: an `SSD` with or without decoder, or another functional `keras.Model` from images of fixed size.
        prototxt, caffemodel: paths to write; existing files are replaced when both are whole.
        decoding: options of `DecodeDetections` for DetectionOutput, such as {"confidence_threshold": 0.3};
            the others are the model's own.
        channel_order: of the net's images, "bgr" as in Caffe and OpenCV, or "rgb".
        mean_inside: True lets the net subtract the mean and scale; it then takes plain pixels.

    Returns:
        A `CaffeExport`: `print` it.

    Raises:
        ExportError: layers or anchors that Caffe cannot express; the message names all unknown layers.
        TypeError: the model is not functional, or a decoding option is unknown.

    Example:
        >>> report = keras_ssd.to_caffe(model, "plates.prototxt", "plates.caffemodel")
        >>> net = cv2.dnn.readNetFromCaffe("plates.prototxt", "plates.caffemodel")
        >>> net.setInput(cv2.dnn.blobFromImage(image, report.scale, report.input_shape[:1:-1], report.mean))
        >>> rows = net.forward()[0, 0]  # [image, label, score, xmin, ymin, xmax, ymax]
    """
    paths = Path(os.fspath(prototxt)), Path(os.fspath(caffemodel))
    if paths[0].absolute() == paths[1].absolute():
        raise ValueError(f"`prototxt` and `caffemodel` must be two files. Received: {paths[0]} for both")
    net, image, outputs = _written(model, decoding, channel_order, mean_inside)
    made = CaffeNet(caffe_name(model.name), tuple(net.layers))
    _write_both(made, *paths)
    return CaffeExport(
        *paths,
        image.name,
        (1, *image.input_shape),
        image.channel_order,
        image.mean,
        image.scale,
        tuple(outputs),
        sum(blob.size for layer in net.layers for blob in layer.blobs),
        tuple(model.class_names) if isinstance(model, SSD) else (),
        net.all_notes(),
    )


def _written(model, decoding, channel_order, mean_inside):
    """(`Net`, `Image`, names of its outputs) of a model."""
    calls = calls_of(model)
    unknown = [x.layer for x in calls if not isinstance(x.layer, ENDS) and writer_of(x.layer, WRITERS) is None]
    if unknown:
        listed = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in unknown)
        raise ExportError(
            f"{len(unknown)} layers cannot be written for Caffe: {listed}. Build the model from other layers, or "
            "export it to another format."
        )
    anchors, decoder = ends_of(model, calls)
    detection = None if anchors is None else options_of(model, decoder, decoding)
    net, readers = Net(), readers_of(calls)
    image = write_image(net, model, readers, channel_order, mean_inside)
    ends = {id(tensor) for tensor in model.outputs}
    blobs = {id(image.tensor): image.blob}
    for call in calls:
        if call in image.skipped or isinstance(call.layer, ENDS):
            continue
        [tensor] = call.outputs
        step = Step(net, call.layer, tuple(tensor.shape))
        blob = writer_of(call.layer, WRITERS)(step, call.layer, *(blobs[id(x)] for x in call.inputs))
        shared = len(readers.get(id(tensor), ())) > 1 or id(tensor) in ends
        blobs[id(tensor)] = replace(blob, shared=blob.shared or shared)
    if anchors is not None and detection is not None:
        return net, image, [write_heads(net, anchors, blobs, image, detection)]
    return net, image, [_output(net, tensor, blobs[id(tensor)], model) for tensor in model.outputs]


def _output(net, tensor, blob, model):
    """Writes an output, maps with channels first and other tensors in Keras's order; returns its blob's name."""
    step = Step(net, model, tuple(tensor.shape))
    blob = step.ordered(blob, usual_order(len(tensor.shape)))
    if net.layers[net.maker(blob)].tops[0] != blob.name:  # OpenCV gives a layer's first output by its name
        blob = step.add("Power", [blob], suffix="output")
    return net.with_own_name(blob).name


def _write_both(net, prototxt, caffemodel):
    """Writes both files; neither appears under its name until both are complete."""
    with replacing(prototxt) as text, replacing(caffemodel) as binary:
        write_prototxt(net, text)
        write_caffemodel(net, binary)
