"""A detector's network as a TensorFlow Lite file, by TensorFlow's converter. Keras must run on TensorFlow here.

The converter knows how to write every layer whose operations TensorFlow Lite has, users' own layers included, and it
folds and fuses what it can. Only built-in operators are allowed: files with TensorFlow's own ("Flex") need a runtime
that phones do not have.
"""

import re
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd._quiet import telling_backend
from keras_ssd.box_coder import Predictions
from keras_ssd.exporters.model_graph import ExportError, calls_of
from keras_ssd.exporting.tflite.plan import BOXES, ENDING, SCORES, Plan
from keras_ssd.exporting.tflite.suppression import NEVER_LOST
from keras_ssd.layers import AnchorBoxes

SMALLEST_SIDE = 1e-9  # its logarithm stands for a side of 0
LEFT_OUT = -1.0  # a score below every threshold


def convert(model: keras.Model, plan: Plan) -> bytes:
    """The file of a network, without metadata and without the operation of suppression.

    Args:
        model: a detector of raw predictions, or with a decoder, which is left out.
        plan: the `Plan`.

    Returns:
        A file with the input "images" and the outputs "boxes" and "scores".

    Raises:
        ExportError: TensorFlow Lite has no built-in operator for something that the model computes.
    """
    import tensorflow as tf

    model = in_single_precision(model)
    [joining] = [call for call in calls_of(model) if isinstance(call.layer, AnchorBoxes)]
    maps = keras.Model(model.inputs[0], list(joining.inputs))
    shape = (plan.batch, *model.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="images")])
    def computed(images):
        images = images[..., ::-1] if plan.bgr else images
        found = maps(images, training=False)
        with tf.name_scope(ENDING):
            return ending(found, joining.layer, plan)

    traced: Any = computed
    holder: Any = tf.Module()  # the converter finds the weights by it
    holder.computed = traced
    holder.weights = [variable.value for variable in maps.variables]
    told: list[str] = []
    try:
        with telling_backend() as told:
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], holder)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            if plan.half:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            return converter.convert()
    except Exception as error:
        raise ExportError(refusal(model, str(error), "".join(told))) from error


def ending(maps: Any, joining: Any, plan: Plan) -> dict[str, Any]:
    """Boxes and scores from the maps of the heads.

    Args:
        maps: the tensors that the layer `AnchorBoxes` reads: one of scores a level, then one of offsets a level.
        joining: the layer.
        plan: the `Plan`.

    Returns:
        {"boxes": (B, N, 4), "scores": (B, N, C), with the unused columns of the plan among them}.
    """
    levels = joining.spec.levels
    logits, offsets = (
        ops.concatenate([ops.reshape(m, (plan.batch, -1, width)) for m in part], axis=1)
        for part, width in (
            (maps[: len(levels)], maps[0].shape[-1] // levels[0].boxes_per_cell),
            (maps[len(levels) :], 4),
        )
    )
    return {BOXES: _boxes(offsets, joining.spec, plan), SCORES: _scores(logits, plan)}


def _constant(array):
    return ops.convert_to_tensor(array, dtype="float32")


def _boxes(offsets, spec, plan):
    if plan.coded:
        return ops.take(offsets, [1, 0, 3, 2], axis=-1)
    anchors = spec.anchors_cxcywh()
    variances = np.broadcast_to(np.asarray(spec.variances, np.float32), anchors.shape)
    parts = Predictions(None, offsets, _constant(anchors), _constant(variances))
    boxes = plan.options.boxes(parts, ops)
    if not plan.centred:
        return boxes
    low, high = boxes[..., :2], boxes[..., 2:]
    sides = ops.log(ops.maximum(high - low, SMALLEST_SIDE))
    return ops.take(ops.concatenate([(low + high) / 2, sides], axis=-1), [1, 0, 3, 2], axis=-1)


def _scores(logits, plan):
    if plan.kind_of_scores == "softmax":
        scores = ops.softmax(logits)
    elif plan.kind_of_scores == "sigmoid":
        scores = ops.sigmoid(logits)
    else:
        scores = logits
    calibration = plan.options.calibration
    if calibration:  # of all columns, so that the best class of an anchor stays
        scores = calibration.apply(ops.clip(scores, 0.0, 1.0))
    scores, background = scores[..., 1:], scores[..., :1]
    if plan.best_only:
        scores = ops.where(scores > background, scores, LEFT_OUT)
    scores = scores if plan.top_k is None else _best(scores, plan)
    return _spread(scores, plan.unused) if plan.unused else scores


def _spread(scores, unused):
    """The scores with columns in which nothing is found, where the operation of suppression may not look."""
    first = ops.pad(scores[..., :NEVER_LOST], ((0, 0), (0, 0), (0, unused)), constant_values=LEFT_OUT)
    return ops.concatenate([first, scores[..., NEVER_LOST:]], axis=-1)


def _best(scores, plan):
    """The scores with all but the best of each class, or of all classes together, left out."""
    if plan.best_only:
        best = ops.max(scores, axis=-1)
        lowest = ops.top_k(best, plan.top_k)[0][..., -1:]
        return ops.where((best >= lowest)[..., None], scores, LEFT_OUT)
    lowest = ops.top_k(ops.transpose(scores, (0, 2, 1)), plan.top_k)[0][..., -1]
    return ops.where(scores >= lowest[:, None], scores, LEFT_OUT)


def in_single_precision(model: keras.Model) -> keras.Model:
    """The model, or a copy that computes in float32 where a layer does not."""
    if all(layer.compute_dtype in (None, "float32") for layer in model.layers):
        return model

    def clone(layer):
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights([np.asarray(ops.convert_to_numpy(value), np.float32) for value in model.variables])
    return copy


def refusal(model: keras.Model, said: str, traced: str) -> str:
    """One sentence or two about what the converter refused, from its words.

    Args:
        model: the model.
        said: the converter's message, which may be its whole program.
        traced: what it wrote to standard error, where it tells the place of each operation.
    """
    operations = sorted(set(re.findall(r"\btf\.([A-Z]\w+)", said)))
    named = {layer.name: f"{layer.name} ({type(layer).__name__})" for layer in model.layers}
    layers = [
        told
        for name, told in named.items()
        for operation in operations
        if re.search(rf"/{re.escape(name)}(_\d+)?/[^\"]*{operation}", traced)
    ]
    where = f", in the layers {', '.join(dict.fromkeys(layers))}" if layers else ""
    if not operations:
        first = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
        return f"TensorFlow's converter cannot write '{model.name}' as TensorFlow Lite: {first[:300]}"
    return (
        f"TensorFlow Lite has no built-in operator for {', '.join(operations)}{where}. Use other layers there, or "
        "another format, such as ONNX."
    )
