"""Rebuilds a network on another input: new layers of the same kinds with copies of the weights."""

import re
from typing import Any

import keras

from keras_ssd.keras_private import functional_of
from keras_ssd.layer_calls import calls_of, is_functional

_NUMBER = re.compile(r"_(\d+)$")


def rebuilt(model: Any, x: Any, *, renumber: bool = False) -> keras.Model:
    """A copy of a functional model with one input, on another symbolic tensor (B, H, W, C).

    The copy shares nothing with the model. The layers of models inside the model become layers of the copy. `renumber`
    gives layers that Keras numbered ("activation_57") the names of a new process, so that names do not depend on models
    built before.

    Raises:
        ValueError: a layer does not work at this size.
    """
    copies = {}
    names = _renumbered(model) if renumber else {}
    outputs = _run(model, x, copies, names)
    inputs = keras.utils.get_source_inputs(x)
    made = keras.Model(inputs[0], outputs[0] if len(outputs) == 1 else outputs, name=model.name)
    for layer, copy in copies.values():
        if getattr(layer, "weights", None):
            copy.set_weights(layer.get_weights())
    return made


def _run(model, x, copies, names):
    """The model's output tensors on `x`; notes (layer, copy) by the layer's id."""
    model = functional_of(model)
    tensors = {id(model.inputs[0]): x}
    for call in calls_of(model):
        args, kwargs = call.arguments(tensors)
        layer = call.layer
        if _is_net(layer):
            outputs = _run(layer, args[0], copies, names)
        else:
            made = _copy_of(layer, copies, names)(*args, **kwargs)
            outputs = keras.tree.flatten(made)
        tensors.update({id(old): new for old, new in zip(call.outputs, outputs, strict=True)})
    return [tensors[id(tensor)] for tensor in model.outputs]


def _is_net(layer):
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and is_functional(layer) and len(layer.inputs) == 1
    )


def _copy_of(layer, copies, names):
    """A fresh layer, or operation of `keras.ops`, of the same kind."""
    if id(layer) not in copies:
        taken = {copy.name for _, copy in copies.values()}
        config = layer.get_config()
        name = wanted = names.get(id(layer), layer.name)
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        copies[id(layer)] = (layer, layer.__class__.from_config({**config, "name": name}))
    return copies[id(layer)][1]


def _renumbered(model):
    """{id of a layer: its name in a new process}, for layers that Keras named."""
    groups = {}
    for layer in {id(layer): layer for layer in _leaves(model)}.values():
        stem = _NUMBER.sub("", layer.name)
        if stem.replace("_", "") == type(layer).__name__.lower():
            hit = _NUMBER.search(layer.name)
            groups.setdefault(stem, []).append((int(hit[1]) if hit else 0, layer))
    return {
        id(layer): stem if rank == 0 else f"{stem}_{rank}"
        for stem, rows in groups.items()
        for rank, (_, layer) in enumerate(sorted(rows, key=lambda row: row[0]))
    }


def _leaves(model):
    """All layers and operations, of models inside the model too."""
    model = functional_of(model)
    for call in calls_of(model):
        if _is_net(call.layer):
            yield from _leaves(call.layer)
        else:
            yield call.layer
