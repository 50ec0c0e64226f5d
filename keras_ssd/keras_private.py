"""All private attributes of Keras that this package reads.

Keras has no public way to walk through a functional model, to find the averaged weights of an optimizer, or to get
PyTorch's device. If a new version of Keras renames one of these, the error here names it. The command imports this
module before it needs Keras, so Keras is imported in the functions.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# {attribute: what it is needed for}
READ: dict[str, str] = {
    "_nodes_by_depth": "the layer calls of a functional model, in the order of computing",
    "_functional": "the functional model inside a built Sequential",
    "_inbound_nodes": "the calls of a layer",
    "_keras_history": "the layer that made a symbolic tensor",
    "_trainable_variables": "the variables that an optimizer trains",
    "_model_variables_moving_average": "their running averages",
    "_get_variable_index": "the place of a variable among them",
    "_called": "whether a model was called, which some exports insist on",
    "get_device": "the device that PyTorch computes on, of keras.src.backend.torch.core",
}


class KerasChangedError(AttributeError):
    """This version of Keras lacks a private attribute that the package reads."""


def _read(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        import keras

        raise KerasChangedError(
            f"Keras {keras.__version__} has no `{type(owner).__name__}.{name}`, which keras_ssd reads for: "
            f"{READ[name]}. Use a version of Keras that this version of keras_ssd was tested with, or a newer one of "
            "keras_ssd."
        ) from None


def is_functional(model: Any) -> bool:
    """Whether a model has a graph of layer calls. A Sequential has none, see `functional_of`."""
    return bool(getattr(model, "_nodes_by_depth", None))


def nodes_of(model: "keras.Model") -> list[Any]:
    """The nodes of a functional model in the order of computing, inputs included."""
    nodes = _read(model, "_nodes_by_depth")
    return [node for depth in sorted(nodes, reverse=True) for node in nodes[depth]]


def functional_of(model: "keras.Model") -> Any:
    """The functional model inside a built Sequential, None if it is not built; any other model itself."""
    import keras

    return _read(model, "_functional") if isinstance(model, keras.Sequential) else model


def nodes_of_layer(layer: "keras.layers.Layer") -> list[Any]:
    """The nodes of a layer: its calls on symbolic tensors."""
    return _read(layer, "_inbound_nodes")


def maker_of(tensor: Any) -> Any:
    """The layer or operation that made a symbolic tensor."""
    return _read(tensor, "_keras_history").operation


def trained_variables(optimizer: "keras.optimizers.Optimizer") -> list[Any]:
    """The variables that a built optimizer trains."""
    return _read(optimizer, "_trainable_variables")


def averages(optimizer: "keras.optimizers.Optimizer") -> list[Any]:
    """The running averages of `trained_variables`, None for variables without one; for `use_ema=True`."""
    return _read(optimizer, "_model_variables_moving_average")


def variable_index(optimizer: "keras.optimizers.Optimizer", variable: Any) -> int:
    """The place among `trained_variables` of a variable, which may be the backend's own."""
    return _read(optimizer, "_get_variable_index")(variable)


def was_called(model: "keras.Model") -> bool:
    """Whether a model was called on arrays."""
    return _read(model, "_called")


def torch_device() -> str:
    """The device that Keras's PyTorch backend computes on, such as "cpu"."""
    from keras.src.backend.torch import core

    return str(_read(core, "get_device")())
