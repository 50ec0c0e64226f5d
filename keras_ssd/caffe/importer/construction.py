"""A net under construction, layer by layer, in Caffe's order."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras_ssd.anchors import AnchorSpec
from keras_ssd.caffe.files import CaffeLayer, CaffeNet
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Plan, Step
from keras_ssd.caffe.importer.head import ACTIVATIONS
from keras_ssd.caffe.importer.images import ImageInput, Preprocessing, image_blob, image_input, preprocessing_of
from keras_ssd.caffe.importer.names import legal_name
from keras_ssd.caffe.importer.preparation import (
    PRIORS,
    detecting_phase,
    last_blobs,
    needed_layers,
    refuse_unsupported,
    tasks,
)
from keras_ssd.caffe.importer.priors import given_levels, prior_level
from keras_ssd.caffe.importer.registry import BUILDERS, DATA
from keras_ssd.caffe.importer.report import ReportRow
from keras_ssd.caffe.importer.strict import check_fields, passed_over
from keras_ssd.keras_private import maker_of
from keras_ssd.names import did_you_mean, nearest

log: logging.Logger = logging.getLogger("keras_ssd")

OWN_NAMES = ("images", "preprocessing", "grayscale", "predictions", "detections")


class Construction:
    """The blobs of a net while its layers are built in Caffe's order."""

    image: ImageInput

    def __init__(
        self,
        net: CaffeNet,
        weights: CaffeNet | None,
        outputs: Sequence[str] | None,
        custom: Mapping[str, Callable[..., Any]] | None,
        truncate_sizes: bool,
    ):
        self.source, self.weights = net, weights
        self.net, self.end = detecting_phase(net)
        if self.end is None and not outputs:
            raise ValueError(
                f"{net.path or net.name} has neither a DetectionOutput nor a MultiBoxLoss layer, which would define "
                f"its heads. Its last blobs are {', '.join(last_blobs(self.net))}. If two of them are the offsets and "
                "scores of a detector, name them with `heads` and give its priors with `anchors`. For a plain model, "
                "name its output blobs with `outputs`."
            )
        if isinstance(outputs, str):
            raise TypeError(f"`outputs` must be a list of blob names. Received: outputs={outputs!r}")
        self.layers, self.open = needed_layers(self.net, outputs or (self.end.bottoms[:3] if self.end else ()))
        self.custom = dict(custom or {})
        self.builders = {**BUILDERS, **self.custom}
        self.truncate_sizes = truncate_sizes
        refuse_unsupported(self.net, self.layers, custom)
        end = () if outputs or self.end is None else (self.end,)
        self.notes = (*check_fields(net, (*self.layers, *end), custom), *passed_over(weights))
        self.plan = Plan()
        self.plan.names.update(OWN_NAMES)
        self.blobs, self.rows, self.origins = {}, [], {}

    def start(self, input_size: Sequence[int] | None, given: Mapping[str, Any]) -> tuple[Any, Preprocessing]:
        """Makes the model's input; returns it and the `Preprocessing`."""
        if self.open:
            made = [top for layer in self.net.layers for top in layer.tops]
            lost = [name for name in sorted(self.open) if name not in made]
            close = did_you_mean([repr(name) for each in lost for name in nearest(each, dict.fromkeys(made), 1)])
            raise ValueError(
                f"{self.source.path or self.source.name}: no layer makes the blobs {sorted(self.open)}.{close} "
                f"The net has the blobs {', '.join(dict.fromkeys(made))}."
            )
        self.image = image_input(self.layers, input_size)
        preprocessing = preprocessing_of(self.image, given, self.net, self.source, self.weights)
        inputs, blob = image_blob(self.image.size_hw, preprocessing)
        for layer in self.layers:
            if layer.type in DATA:
                self.blobs.update({top: Blob(None, layer=layer) for top in layer.tops})
        self.blobs[self.image.blob] = replace(blob, layer=self.image.layer)
        return inputs, preprocessing

    def run(self) -> None:
        """Builds every layer."""
        for task in tasks(self.layers):
            if task.layer.type in DATA:
                note = "the image" if self.image.blob in task.layer.tops else "left out"
                self.rows.append(ReportRow(task.layer.name, task.layer.type, note=note))
            else:
                self._build(task)

    def _build(self, task):
        layer, last = task.layer, (task.merged or (task.layer,))[-1]
        inputs = [self.blob(layer, name) for name in layer.bottoms]
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
        if not all(isinstance(blob, Blob) for blob in made):
            step.fail(
                "its function must return a Blob, a list of them, or for a layer that makes priors an AnchorSpec. "
                f"Received: {', '.join(type(blob).__name__ for blob in made)}"
            )
        for top, blob in zip(last.tops, made, strict=True):
            self.blobs[top] = replace(blob, layer=layer, inputs=tuple(inputs))
        self._note(task, inputs, made[0], self.plan.placed[placed:])

    def _made(self, step, inputs):
        kind = step.layer.type
        if kind in PRIORS and kind not in self.custom:
            level = prior_level(step, inputs[0], inputs[1] if len(inputs) > 1 else self.blobs[self.image.blob])
            return Blob(None, levels=(level,))
        if kind in self.custom and kind in PRIORS:
            return Blob(None, levels=given_levels(step, self.custom[kind](step, *inputs)))
        if any(blob.levels for blob in inputs):
            return Blob(None, levels=tuple(level for blob in inputs for level in blob.levels))
        for name, blob in zip(step.layer.bottoms, inputs, strict=True):
            if blob.tensor is None:
                step.fail(f"it needs the input '{name}' besides the image; the image must be the only input.")
        made = self.builders[kind](step, *inputs)
        return Blob(None, levels=given_levels(step, made)) if isinstance(made, AnchorSpec) else made

    def blob(self, layer: CaffeLayer, name: str) -> Blob:
        if name not in self.blobs:
            raise ValueError(f"Layer '{layer.name}' reads blob '{name}' before any layer has made it.")
        return self.blobs[name]

    def _note(self, task, inputs, made, placed):
        layer = task.layer
        note = ", ".join(f"with {other.type} '{other.name}'" for other in task.merged)
        if made.levels:
            note = f"{sum(level.level.num_anchors for level in made.levels)} anchors"
        elif any(blob.tensor is made.tensor for blob in inputs):
            note = "no operation"
        elif placed and inputs[0].channels_reversed and not made.channels_reversed:
            note = "channels reversed from BGR to RGB"
        shape = made.shape if made.tensor is not None else ()
        parameters = sum(math.prod(entry.stored.shape) for entry in placed)
        self.rows.append(ReportRow(layer.name, layer.type, shape, parameters, note))
        self.rows += [ReportRow(other.name, other.type, shape, 0, f"in '{layer.name}'") for other in task.merged]
        if made.tensor is not None:
            self.origins[layer.name] = maker_of(made.tensor).name

    def _normalises_itself(self):
        """Whether the net's first layer is a normalization; then its images need no mean and scale."""
        readers = [layer for layer in self.layers if self.image.blob in layer.bottoms and layer.type not in PRIORS]
        return bool(readers) and all(layer.type in ("BatchNorm", "Scale", "Power", "MVN", "BN") for layer in readers)

    def note_unused(self, model: Any) -> None:
        """Records the layers that the model does not need, since AnchorBoxes and the decoder do their work."""
        names = {layer.name for layer in model.layers}
        for place, row in enumerate(self.rows):
            if not row.note and self.origins.get(row.layer, "predictions") not in names:
                done = "done by the decoder" if row.kind in ACTIVATIONS else "done by 'predictions'"
                self.rows[place] = replace(row, note=done)

    def note_folded(self, folded: Mapping[str, str]) -> None:
        """Records the batch normalizations that were folded: {its name: the convolution's}, as in Keras."""
        for place, row in enumerate(self.rows):
            conv = folded.get(legal_name(row.layer))
            if conv:
                self.rows[place] = replace(row, note=f"folded into '{conv}'")

    def choices(self, preprocessing: Preprocessing) -> tuple[str, ...]:
        """Sentences on the decisions that were made."""
        lines = [f"Preprocessing: {preprocessing}.", *self.notes]
        if preprocessing.source is None:
            lines.append("Give mean and scale if the net was trained with them; otherwise it will detect badly.")
            tell = log.info if self._normalises_itself() else log.warning
            tell(
                "%s does not state a mean or scale for its images, and none was given; using 0 and 1. Most nets on "
                "VGG16 need the mean 104, 117, 123; MobileNet-SSD needs the mean 127.5 and the scale 1/127.5; many "
                "others need the scale 1/255. Give them with `mean` and `scale`.",
                self.source.path or self.source.name,
            )
        skipped = [layer.name for layer in self.net.layers if layer not in self.layers and layer is not self.end]
        if skipped:
            lines.append(f"Left out, since the outputs do not depend on them: {', '.join(skipped)}.")
        return tuple(lines)
