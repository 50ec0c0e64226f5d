"""`from_caffe`: prototxt and caffemodel -> a model of this package."""

import logging
import os
from dataclasses import replace

import keras

from keras_ssd.formats.caffe import CaffeNet, read_caffemodel, read_prototxt
from keras_ssd.importers.caffe import kinds as kinds
from keras_ssd.importers.caffe.blobs import CHANNELS_LAST, Blob
from keras_ssd.importers.caffe.building import Plan, Step
from keras_ssd.importers.caffe.graph import PRIORS, detecting_phase, needed_layers, refuse_unsupported, tasks
from keras_ssd.importers.caffe.head import ending_of, heads_of
from keras_ssd.importers.caffe.names import legal_name
from keras_ssd.importers.caffe.pictures import picture_blob, picture_input, preprocessing_of
from keras_ssd.importers.caffe.priors import prior_level
from keras_ssd.importers.caffe.registry import BUILDERS, DATA
from keras_ssd.importers.caffe.report import ImportReport, ReportRow
from keras_ssd.importers.caffe.weights import arrays_for
from keras_ssd.importers.folding import fold_batch_normalization
from keras_ssd.layers import AnchorBoxes
from keras_ssd.models.model import SSD
from keras_ssd.names import check_class_names
from keras_ssd.zoo.port import port

log = logging.getLogger("keras_ssd")

OWN_NAMES = ("pictures", "preprocessing", "grayscale", "predictions", "detections")


def from_caffe(
    prototxt,
    caffemodel=None,
    *,
    classes=None,
    input_size=None,
    mean=None,
    scale=None,
    channel_order=None,
    truncate_sizes=True,
    fold=False,
    layers=None,
    outputs=None,
    name=None,
):
    """A Caffe net as a functional Keras model, with the same outputs; Caffe is not needed.

    The model keeps the contract of `ssd300()`: RGB pictures in 0..255 in, raw predictions out; `detect`,
    `with_decoder`, `fit` and `save` work. Colour order, mean and scale are taken into the model, the anchors are those
    of the PriorBox layers, and what DetectionOutput did is what `with_decoder(model)` does. Layers keep their names, a
    slash in them becomes a dot. `print(model.weights_report)` shows everything.

    Args:
        prototxt: path of the net's description, of a deploy or a train net, or a `CaffeNet`.
        caffemodel: path of the weights; None leaves the weights as Keras initialises them.
        classes: names of the classes in the order of their labels, without the background.
        input_size: (height, width) in pixels; by default what the net says. Only nets without InnerProduct layers take
            another.
        mean, scale: the net was trained on (picture - mean) * scale of pixels in 0..255; one number, or one for each
            channel in the net's order. By default what the net or the training net inside `caffemodel` states.
        channel_order: "bgr" (Caffe's) or "rgb" for a net that was trained on RGB.
        truncate_sizes: cut prior sizes to whole pixels, as Caffe does; False is what OpenCV does.
        fold: fold each BatchNorm into the convolution before it. The model is smaller and faster, and cannot be trained
            as well.
        layers: {layer type: function(step, *blobs)} for types that this package does not know, see docs/caffe.md.
        outputs: names of blobs. They make a plain `keras.Model` from pictures to these blobs, channels last, of any
            net, a detector or not.
        name: the model's name; the net's own by default.

    Returns:
        `SSD`, or a `keras.Model` with `outputs`.

    Raises:
        CaffeFileError: a file that cannot be read.
        PortError: weights that do not fit; nothing is loaded.
        ValueError: unsupported layers (all are named), no detector, or an argument that does not fit the net.

    Example:
        >>> model = keras_ssd.from_caffe("deploy.prototxt", "plates.caffemodel", classes=["plate"])
    """
    net = prototxt if isinstance(prototxt, CaffeNet) else read_prototxt(os.fspath(prototxt))
    weights = caffemodel
    if weights is not None and not isinstance(weights, CaffeNet):
        weights = read_caffemodel(os.fspath(weights))
    given = {"mean": mean, "scale": scale, "channel_order": channel_order}
    building = _Building(net, weights, outputs, layers, truncate_sizes)
    inputs, preprocessing = building.start(input_size, given)
    building.run()
    name = legal_name(name or net.name or "caffe")
    model = _plain(building, inputs, outputs, name) if outputs else _detector(building, inputs, classes, name)
    unused, parameters = (), 0
    if weights is not None:
        arrays, unused = arrays_for(building.plan, weights, name)
        arrays = replace(arrays, layers={layer: arrays[layer] for layer in arrays.layers if _has(model, layer)})
        parameters = port(model, arrays).parameters
    if fold:
        model = fold_batch_normalization(model)
    files = " and ".join(str(n.path) for n in (net, weights) if n is not None and n.path) or name
    report = ImportReport(files, tuple(building.rows), building.choices(preprocessing), tuple(unused), parameters)
    if isinstance(model, SSD):
        model.weights_report = report
    return model


def _has(model, layer):
    return any(layer == other.name for other in model.layers)


class _Building:
    """The blobs of a net while its layers are built one after the other, in Caffe's order."""

    def __init__(self, net, weights, outputs, custom, truncate_sizes):
        self.source, self.weights = net, weights
        self.net, self.end = detecting_phase(net)
        if self.end is None and not outputs:
            raise ValueError(
                f"{net.path or net.name} is no detector: it has neither a DetectionOutput nor a MultiBoxLoss layer. "
                "Name blobs as outputs=[...] for a plain model of them."
            )
        if isinstance(outputs, str):
            raise TypeError(f"`outputs` must be a list of blob names. Received: outputs={outputs!r}")
        self.wanted = list(outputs or self.end.bottoms[:3])
        self.layers, self.open = needed_layers(self.net, self.wanted)
        self.builders = {**BUILDERS, **(custom or {})}
        self.truncate_sizes = truncate_sizes
        refuse_unsupported(self.net, self.layers, custom)
        self.plan = Plan()
        self.plan.names.update(OWN_NAMES)
        self.blobs, self.rows = {}, []

    def start(self, input_size, given):
        """Makes the model's input; returns it and the `Preprocessing`."""
        if self.open:
            raise ValueError(
                f"{self.source.path or self.source.name}: no layer makes the blobs {sorted(self.open)}. "
                f"The net has the blobs {', '.join(dict.fromkeys(top for layer in self.net.layers for top in layer.tops))}."
            )
        self.picture = picture_input(self.layers, input_size)
        preprocessing = preprocessing_of(self.picture, given, self.net, self.source, self.weights)
        inputs, blob = picture_blob(self.picture.size_hw, preprocessing)
        for layer in self.layers:
            if layer.type in DATA:
                self.blobs.update({top: Blob(None, layer=layer) for top in layer.tops})
        self.blobs[self.picture.blob] = replace(blob, layer=self.picture.layer)
        return inputs, preprocessing

    def run(self):
        """Builds every layer."""
        for task in tasks(self.layers):
            if task.layer.type in DATA:
                self.rows.append(ReportRow(task.layer.name, task.layer.type, note="the picture, or left out"))
                continue
            self._build(task)

    def _build(self, task):
        layer, last = task.layer, (task.merged or (task.layer,))[-1]
        inputs = [self._blob(layer, name) for name in layer.bottoms]
        step = Step(layer, legal_name(layer.name), self.plan, task.merged, self.truncate_sizes)
        placed = len(self.plan.placed)
        try:
            made = self._made(step, inputs)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError) as error:
            if str(error).startswith("Layer '"):
                raise
            shapes = ", ".join(str(blob.shape) if blob.tensor is not None else "no map" for blob in inputs)
            raise ValueError(
                f"Layer '{layer.name}' ({layer.type}) cannot be built on inputs of shape {shapes}: {error}"
            ) from error
        made = made if isinstance(made, (tuple, list)) else [made] * len(last.tops)
        for top, blob in zip(last.tops, made, strict=True):
            self.blobs[top] = replace(blob, layer=layer, inputs=tuple(inputs))
        self._note(task, inputs, made[0], self.plan.placed[placed:])

    def _made(self, step, inputs):
        kind = step.layer.type
        if kind in PRIORS:
            level = prior_level(step, inputs[0], inputs[1] if len(inputs) > 1 else self.blobs[self.picture.blob])
            return Blob(None, levels=(level,))
        if any(blob.levels for blob in inputs):
            return Blob(None, levels=tuple(level for blob in inputs for level in blob.levels))
        for name, blob in zip(step.layer.bottoms, inputs, strict=True):
            if blob.tensor is None:
                step.fail(f"it needs the input '{name}' besides the picture, which a detector of pictures has not.")
        return self.builders[kind](step, *inputs)

    def _blob(self, layer, name):
        if name not in self.blobs:
            raise ValueError(f"Layer '{layer.name}' reads blob '{name}' before any layer has made it.")
        return self.blobs[name]

    def _note(self, task, inputs, made, placed):
        layer, parameters = task.layer, 0
        for entry in placed:
            size = 1
            for side in entry.stored.shape:
                size *= side
            parameters += size
        note = ", ".join(f"with {other.type} '{other.name}'" for other in task.merged)
        if made.levels:
            note = f"{sum(level.level.num_anchors for level in made.levels)} anchors"
        elif any(blob.tensor is made.tensor for blob in inputs):
            note = "no operation"
        elif placed and inputs[0].turned and not made.turned:
            note = "turned from BGR to RGB"
        shape = made.shape if made.tensor is not None else ()
        self.rows.append(ReportRow(layer.name, layer.type, shape, parameters, note))
        self.rows += [ReportRow(other.name, other.type, shape, 0, f"in '{layer.name}'") for other in task.merged]

    def choices(self, preprocessing):
        """Sentences on what was decided."""
        lines = [f"Preprocessing: {preprocessing}."]
        if preprocessing.source.startswith("nowhere"):
            lines.append("Give mean and scale if the net was trained with any, or it will detect badly.")
            log.warning(
                "%s states no mean or scale for its pictures, and none was given; taking 0 and 1. Nets on VGG16 mostly "
                "want mean=(104, 117, 123), MobileNet-SSD mean=127.5 and scale=1/127.5.",
                self.source.path or self.source.name,
            )
        skipped = [layer.name for layer in self.net.layers if layer not in self.layers and layer is not self.end]
        if skipped:
            lines.append(f"Left out, since the result does not depend on them: {', '.join(skipped)}.")
        return tuple(lines)


def _detector(building, inputs, classes, name):
    """The `SSD` of a net that ends in detections."""
    ending = ending_of(building.end)
    bottoms = [building._blob(building.end, blob) for blob in building.end.bottoms[:3]]
    if len(bottoms) < 3 or bottoms[0].tensor is None or bottoms[1].tensor is None:
        raise ValueError(
            f"Layer '{building.end.name}' must read offsets, scores and priors. Received: {building.end.bottoms}"
        )
    heads = heads_of(building.end, ending, *bottoms)
    count = ending.num_classes - (ending.background >= 0)
    if classes is not None:
        classes = check_class_names("classes", classes)
        if len(classes) != count:
            raise ValueError(
                f"`classes` must name the net's {count} classes, without background, in the order of their labels. "
                f"Received: {len(classes)} names"
            )
    predictions = AnchorBoxes(heads.spec, name="predictions")(heads.confidence_maps, heads.offset_maps)
    decoding = {**ending.decoding, "scores": heads.scores}
    return SSD(inputs, predictions, name=name, class_names=classes or (), decoding=decoding)


def _plain(building, inputs, outputs, name):
    """A plain model of some blobs."""
    tensors = []
    for blob_name in outputs:
        blob = building.blobs[blob_name]
        if blob.tensor is None:
            raise ValueError(f"Blob '{blob_name}' holds priors or an input, no result of the picture.")
        tensors.append(blob.maps() if len(blob.order) == len(CHANNELS_LAST) else blob.plain())
    return keras.Model(inputs, tensors if len(tensors) > 1 else tensors[0], name=name)
