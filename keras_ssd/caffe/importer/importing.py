"""`from_caffe`: prototxt and caffemodel -> a model of this package."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_ssd.caffe.files import CaffeNet, read_caffemodel, read_prototxt
from keras_ssd.caffe.importer import kinds as kinds
from keras_ssd.caffe.importer.construction import Construction
from keras_ssd.caffe.importer.head import ending_of, heads_of
from keras_ssd.caffe.importer.names import legal_name
from keras_ssd.caffe.importer.outside import anchors_of, head_names, outside_heads, wanted_blobs
from keras_ssd.caffe.importer.preparation import detecting_phase
from keras_ssd.caffe.importer.report import ImportReport
from keras_ssd.caffe.importer.weights import arrays_for
from keras_ssd.calling import checked_arguments
from keras_ssd.folding import foldable_pairs
from keras_ssd.layers import AnchorBoxes
from keras_ssd.map_limits import map_limit
from keras_ssd.models.folding import fold_batch_normalization
from keras_ssd.models.model import SSD
from keras_ssd.zoo.label_fitting import fitted_names, listed_names
from keras_ssd.zoo.port import port


@checked_arguments(class_names="classes")
def from_caffe(
    prototxt: Any,
    caffemodel: Any = None,
    *,
    classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    mean: float | Sequence[float] | None = None,
    scale: float | Sequence[float] | None = None,
    channel_order: str | None = None,
    truncate_sizes: bool = True,
    fold: bool = False,
    layers: Mapping[str, Callable[..., Any]] | None = None,
    outputs: Sequence[str] | None = None,
    heads: Sequence[Any] | None = None,
    anchors: Any = None,
    anchor_format: str = "cxcywh",
    variances: float | Sequence[float] = (0.1, 0.1, 0.2, 0.2),
    scores: str | None = None,
    max_map_bytes: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Converts a Caffe net to a functional Keras model with the same outputs; Caffe is not needed.

    The model works like `ssd300()`: RGB images of 0..255 in, raw predictions out, with `detect`, `fit`, `save` and
    `with_decoder`. It contains channel order, mean and scale. Its anchors are those of the PriorBox layers, and
    `with_decoder(model)` has the settings of DetectionOutput. Layers keep their names, with two hyphens for a slash.
    `print(model.weights_report)` shows every layer.

    Args:
        prototxt: path of the description of a deploy or training net, or a `CaffeNet`.
        caffemodel: path of the weights; None keeps Keras's initial weights.
        classes: names of the classes in the order of their labels, without the background.
        input_size: (height, width) in pixels; by default the net's own. Only nets without InnerProduct layers accept
            another.
        mean, scale: the net was trained on (image - mean) * scale of pixels in 0..255; one number, or one per channel
            in the net's order. By default those stated in the net, or in the training net inside `caffemodel`.
        channel_order: "bgr" (Caffe's) or "rgb" for a net that was trained on RGB.
        truncate_sizes: truncate prior sizes to whole pixels, as Caffe does; False keeps them, as OpenCV does.
        fold: fold each BatchNorm into the convolution before it. The model is smaller and faster, but trains worse.
        layers: {layer type: function(step, *blobs)} for types that this package does not know, see docs/caffe.md.
        outputs: names of blobs. The result is a plain `keras.Model` from images to these blobs, channels last; the net
            need not be a detector.
        heads: for a net without PriorBox and DetectionOutput layers: names of its blobs of offsets and scores,
            `[(offsets, scores), ...]` with one pair per level, or one pair of joined blobs. Blobs may be maps or
            flattened. None finds a joined pair by the number of priors.
        anchors: the priors of such a net: an `AnchorSpec`, or an array (N, 4) in the order of the net's outputs, as
            fractions of the image; or (1, 2, N * 4), as PriorBox layers give.
        anchor_format: "cxcywh" or "xyxy", of an array.
        variances: factors of the offsets, for an array.
        scores: how such a net's scores are made from its last convolutions: "softmax" (the first column is the
            background) or "sigmoid", whether the net has that layer or leaves it to the program; "probabilities" if the
            blob holds finished scores that no layer of the net makes. None uses the net's own layer, else "softmax". A
            sigmoid net has no background column, unless `classes` has one name less than it has columns.
        max_map_bytes: the largest feature map of one image that is built, see `keras_ssd.map_limit`.
        name: the model's name; the net's own by default.

    Returns:
        `SSD`, or a `keras.Model` with `outputs`.

    Raises:
        CaffeFileError: a file cannot be read.
        PortError: the weights do not fit; nothing is loaded.
        ValueError: layers are not supported (all are named), the net is not a detector, or an argument does not fit
            the net.

    Example:
        >>> model = keras_ssd.from_caffe("deploy.prototxt", "plates.caffemodel", classes=["plate"])
    """
    net = prototxt if isinstance(prototxt, CaffeNet) else read_prototxt(os.fspath(prototxt))
    weights = caffemodel
    if weights is not None and not isinstance(weights, CaffeNet):
        weights = read_caffemodel(os.fspath(weights))
    given = {"mean": mean, "scale": scale, "channel_order": channel_order}
    outside = heads is not None or anchors is not None
    pairs: tuple[tuple[str, ...], ...] = ()
    if outside:
        _refuse_both(net, outputs)
        pairs, anchors = head_names(heads), anchors_of(anchors, anchor_format, variances, net)
    wanted = wanted_blobs(net, pairs) if outside else outputs
    with map_limit(max_map_bytes):
        building = Construction(net, weights, wanted, layers, truncate_sizes)
        inputs, preprocessing = building.start(input_size, given)
        building.run()
        name = legal_name(name or net.name or "caffe")
        if outside:
            model = _outside(building, inputs, pairs, anchors, scores, classes, name)
        elif outputs:
            model = _plain(building, inputs, outputs, name)
        else:
            model = _detector(building, inputs, classes, name)
    building.note_unused(model)
    unused, parameters = (), 0
    if weights is not None:
        arrays, unused = arrays_for(building.plan, weights, name)
        built = {layer.name for layer in model.layers}
        arrays = replace(arrays, layers={layer: arrays[layer] for layer in arrays.layers if layer in built})
        parameters = port(model, arrays).parameters
    if fold:
        building.note_folded({norm.name: conv.name for conv, norm in foldable_pairs(model)})
        model = fold_batch_normalization(model)
    files = " and ".join(str(n.path) for n in (net, weights) if n is not None and n.path) or name
    report = ImportReport(files, tuple(building.rows), building.choices(preprocessing), tuple(unused), parameters)
    if isinstance(model, SSD):
        model.weights_report = report
    return model


def _detector(building, inputs, classes, name):
    """The `SSD` of a net that ends in detections."""
    ending = ending_of(building.end)
    bottoms = [building.blob(building.end, blob) for blob in building.end.bottoms[:3]]
    if len(bottoms) < 3 or bottoms[0].tensor is None or bottoms[1].tensor is None:
        raise ValueError(
            f"Layer '{building.end.name}' must read offsets, scores and priors. Received: {building.end.bottoms}"
        )
    heads = heads_of(building.end, ending, *bottoms)
    count = ending.num_classes - (ending.background >= 0)
    if classes is not None:
        given, classes = listed_names("classes", classes), fitted_names("classes", classes, count)
        if classes is None:
            raise ValueError(
                f"`classes` must name the net's {count} classes, without background, in the order of their labels. "
                f"Received: {len(given)} names"
            )
    predictions = AnchorBoxes(heads.spec, name="predictions")(heads.confidence_maps, heads.offset_maps)
    decoding = {**ending.decoding, "scores": heads.scores}
    return SSD(inputs, predictions, name=name, class_names=classes or (), decoding=decoding)


def _refuse_both(net, outputs):
    if outputs:
        raise ValueError("`outputs` makes a plain model, without heads and anchors. Leave them out.")
    end = detecting_phase(net)[1]
    if end is not None:
        raise ValueError(
            f"{net.path or net.name} defines its heads and priors itself, with the layer '{end.name}' ({end.type}). "
            "`heads` and `anchors` are for nets without such a layer; leave them out."
        )


def _outside(building, inputs, heads, anchors, scores, classes, name):
    """The `SSD` of a net whose priors are given."""
    if classes is not None:
        listed_names("classes", classes)  # refuses anything but a list of names
    found, count = outside_heads(building, heads, anchors, scores, lambda count: _fits(classes, count))
    classes = None if classes is None else fitted_names("classes", classes, count)
    predictions = AnchorBoxes(found.spec, name="predictions")(found.confidence_maps, found.offset_maps)
    return SSD(inputs, predictions, name=name, class_names=classes or (), decoding={"scores": found.scores})


def _fits(classes, count):
    """Whether there are `count` class names; None if no names are given."""
    return None if classes is None else fitted_names("classes", classes, count) is not None


def _plain(building, inputs, outputs, name):
    """A plain model of some blobs."""
    tensors = []
    for blob_name in outputs:
        blob = building.blobs[blob_name]
        if blob.tensor is None:
            raise ValueError(f"Blob '{blob_name}' holds priors or an input; it is not computed from the image.")
        tensors.append(blob.maps() if blob.rank == 4 else blob.plain())
    return keras.Model(inputs, tensors if len(tensors) > 1 else tensors[0], name=name)
