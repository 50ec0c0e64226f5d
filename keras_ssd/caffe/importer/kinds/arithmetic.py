"""Layers with several inputs."""

from typing import Any

import keras

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step
from keras_ssd.caffe.importer.kinds.axes import aligned, checked_axis, spread
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import WeightedAdd

PRODUCT_AND_MAXIMUM: dict[str, Any] = {"PROD": keras.layers.Multiply, "MAX": keras.layers.Maximum}


@builds("Eltwise")
def eltwise(step: Step, *inputs: Blob) -> Blob:
    """Caffe's Eltwise: product, maximum, or sum with coefficients."""
    s = step.settings("eltwise_param")
    operation, coefficients = s["operation"], tuple(s["coeff"])
    shapes = [x.shape for x in inputs]
    if len(inputs) < 2 or len(set(shapes)) != 1:
        step.fail(f"needs two or more inputs of one shape. Received: shapes={shapes}")
    if coefficients and (operation != "SUM" or len(coefficients) != len(inputs)):
        step.fail(
            "coefficients belong to a SUM, one for each input. Received: "
            f"operation={operation}, {len(coefficients)} coefficients, {len(inputs)} inputs"
        )
    first, tensors = aligned(step, inputs)
    if operation in PRODUCT_AND_MAXIMUM:
        layer = PRODUCT_AND_MAXIMUM[operation](name=step.label())
    elif operation == "SUM":
        plain = all(c == 1.0 for c in coefficients)
        layer = keras.layers.Add(name=step.label()) if plain else WeightedAdd(coefficients, name=step.label())
    else:
        return step.fail(f"only the operations SUM, PROD and MAX are supported. Received: operation={operation}")
    return first.like(step.apply(layer, *tensors))


@builds("Axpy")
def axpy(step: Step, factor: Blob, x: Blob, y: Blob) -> Blob:
    """factor * x + y with one factor per channel, as in squeeze and excitation."""
    first, (x_tensor, y_tensor) = aligned(step, [x, y])
    if x.shape != y.shape:
        step.fail(f"needs a second and a third input of one shape. Received: shapes={[x.shape, y.shape]}")
    product = step.apply(keras.layers.Multiply(name=step.label("product")), x_tensor, spread(step, factor, first))
    return first.like(step.apply(keras.layers.Add(name=step.label()), product, y_tensor))


@builds("Concat")
def concat(step: Step, *inputs: Blob) -> Blob:
    """Joins blobs on an axis."""
    s = step.settings("concat_param")
    axis = checked_axis(step, inputs[0], s["concat_dim"] if s.has("concat_dim") else s["axis"])
    if len(inputs) == 1:
        return inputs[0]
    if axis == 1:
        inputs = tuple(x.straight() for x in inputs)
    first, tensors = aligned(step, inputs)
    rest = {x.shape[:axis] + x.shape[axis + 1 :] for x in inputs}
    if len(rest) != 1:
        step.fail(f"its inputs differ on other axes than {axis}. Received: shapes={[x.shape for x in inputs]}")
    return first.like(step.apply(keras.layers.Concatenate(axis=first.axis(axis), name=step.label()), *tensors))


@builds("Tile")
def tile(step: Step, x: Blob) -> Blob:
    """Repeats a blob along an axis."""
    s = step.settings("tile_param")
    axis, times = checked_axis(step, x, s["axis"]), s.get("tiles")
    if not times or times < 1:
        step.fail(f"needs tiles of at least 1. Received: tiles={times}")
    if times == 1:
        return x
    layer = keras.layers.Concatenate(axis=x.axis(axis), name=step.label())
    return x.like(step.apply(layer, *[x.tensor] * times))
