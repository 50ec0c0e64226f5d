"""Facts from the JSON configuration that `model.save` writes into an `.h5`; no object is deserialised."""

import json
from os import PathLike

from keras_ssd.formats.named_arrays import AnchorBoxesConfig, SavedArchitecture, WeightFileError

MAX_LAYERS = 5_000


def parse_model_config(text: str, path: str | PathLike[str]) -> SavedArchitecture:
    """The `SavedArchitecture` of a Keras model configuration (JSON text).

    Only known fields are read: classes are not looked up, and code in Lambda layers is ignored.

    Raises:
        WeightFileError: the text is not JSON, or not a functional or sequential model.
    """
    try:
        layers = _layers(json.loads(text))
        return SavedArchitecture(
            input_size=_input_size(layers),
            anchor_boxes=tuple(_anchor_boxes(layer) for layer in layers if layer["class_name"] == "AnchorBoxes"),
            layer_names=tuple(_name(layer) for layer in layers),
            lambda_layers=tuple(_name(layer) for layer in layers if layer["class_name"] == "Lambda"),
        )
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise WeightFileError(
            f"{path}: the model configuration in the file (attribute 'model_config') cannot be understood: "
            f"{error!r}. Its weights can still be read from a copy written by save_weights."
        ) from error


def _layers(config):
    inner = config["config"]
    layers = inner if isinstance(inner, list) else inner["layers"]  # early Keras 2 wrote Sequential as a bare list
    if len(layers) > MAX_LAYERS:
        raise ValueError(f"{len(layers)} layers")
    for layer in layers:
        if not isinstance(layer["config"], dict) or not isinstance(layer["class_name"], str):
            raise TypeError("a layer without class_name and config")
    return layers


def _name(layer):
    return str(layer.get("name") or layer["config"].get("name"))


def _input_size(layers):
    for layer in layers:
        # batch_input_shape in Keras 2, batch_shape in Keras 3.
        shape = layer["config"].get("batch_input_shape") or layer["config"].get("batch_shape")
        if shape and len(shape) == 4:
            _, height, width, _ = shape
            return None if height is None else int(height), None if width is None else int(width)
    return None


def _anchor_boxes(layer):
    config = layer["config"]
    variances = tuple(float(v) for v in config["variances"])
    if len(variances) != 4:
        raise ValueError(f"variances {variances}")
    return AnchorBoxesConfig(
        name=_name(layer),
        source=_source(layer.get("inbound_nodes")),
        image_size=(int(config["img_height"]), int(config["img_width"])),
        this_scale=float(config["this_scale"]),
        next_scale=float(config["next_scale"]),
        aspect_ratios=tuple(float(ratio) for ratio in config["aspect_ratios"]),
        two_boxes_for_ar1=bool(config.get("two_boxes_for_ar1", True)),
        variances=variances,
        steps=_number_or_pair(config.get("this_steps")),
        offsets=_number_or_pair(config.get("this_offsets")),
        clip_boxes=bool(config.get("clip_boxes", False)),
        coords=str(config.get("coords", "centroids")),
        normalize_coords=bool(config.get("normalize_coords", False)),
    )


def _source(inbound):
    """The name of the layer that feeds this one: [[[name, node, tensor, {}]]] in Keras 2."""
    try:
        name = inbound[0][0][0]
    except (TypeError, LookupError):
        return None
    return name if isinstance(name, str) else None


def _number_or_pair(value):
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        height, width = value
        return float(height), float(width)
    return float(value)
