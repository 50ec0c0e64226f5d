"""The fields of a NetParameter, from text or binary, as a `CaffeNet` in Caffe's current terms.

Follows Caffe's upgrade_proto.cpp: it converts V1 records, inputs declared outside of layers, and preprocessing inside
data parameters.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.caffe.files.messages import V1_TYPES
from keras_ssd.caffe.files.net import CaffeFileError, CaffeLayer, CaffeNet

MAX_LAYERS = 20_000
TRANSFORMED = ("data_param", "image_data_param", "window_data_param")
TRANSFORMS = ("scale", "mean_file", "crop_size", "mirror")


def net_from_fields(fields: Mapping[str, Any], path: Path | None) -> CaffeNet:
    """Builds the net of the parsed fields of a NetParameter, whose blobs are arrays; `path` is for messages.

    Raises:
        CaffeFileError: the fields are not a net.
    """
    source = path or "<text>"
    records = fields.get("layer", [])
    old = fields.get("layers", [])
    if records and old:
        raise CaffeFileError(
            f"{source} has both `layer` and `layers` records; Caffe allows one kind. Received: {len(records)} and "
            f"{len(old)}. Convert the file to one form."
        )
    if not records and not old:
        raise CaffeFileError(f"{source} holds no layers{_instead(fields)}.")
    if len(records) + len(old) > MAX_LAYERS:
        raise CaffeFileError(
            f"{source} has {len(records) + len(old):,} layers; at most {MAX_LAYERS:,} are read. The file is damaged or "
            "of another format."
        )
    layers = [_layer(record, source) for record in records] or [_v1_layer(record, source) for record in old]
    return CaffeNet(fields.get("name", ""), (*_inputs(fields, source), *layers), path)


def _instead(fields):
    """What a file without layers is, as far as its fields show."""
    if any(name in fields for name in ("net", "train_net", "base_lr", "solver_mode", "test_net")):
        return ": it is a solver's prototxt. Give the file that its `net` names"
    if "item" in fields:
        return ": it is a label map. Give the net's prototxt"
    found = ", ".join(sorted(map(str, fields))[:8])
    return f"; expected `layer` or `layers` records. Received: {'fields ' + found if found else 'nothing'}"


def _layer(record, source):
    params = dict(record)
    name, kind = params.pop("name", ""), params.pop("type", "")
    bottoms, tops = params.pop("bottom", ()), params.pop("top", ())
    blobs = params.pop("blobs", ())
    if not kind:
        raise CaffeFileError(f'{source}: layer {name[:60]!r} has no type. Expected: type: "Convolution" or another.')
    return CaffeLayer(name, kind, bottoms, tops, _with_transform(params), blobs)


def _v1_layer(record, source):
    if "layer" in record:
        raise CaffeFileError(
            f"{source} was written for the Caffe of 2013 (a layer inside each `layers`), which is not read. Upgrade it "
            "with Caffe's upgrade_net_proto_text or upgrade_net_proto_binary."
        )
    record = dict(record)
    record["type"] = V1_TYPES.get(record.get("type", ""), record.get("type", ""))
    specs = [
        ("name", record.pop("param", [])),
        ("share_mode", record.pop("blob_share_mode", [])),
        ("lr_mult", record.pop("blobs_lr", [])),
        ("decay_mult", record.pop("weight_decay", [])),
    ]
    count = max(len(values) for _, values in specs)
    if count:
        record["param"] = [{key: values[i] for key, values in specs if i < len(values)} for i in range(count)]
    return _layer(record, source)


def _with_transform(params):
    """Moves the preprocessing that old files have in the data parameters to transform_param."""
    for owner in TRANSFORMED:
        old = {key: params[owner][key] for key in TRANSFORMS if key in params.get(owner, {})}
        if old:
            params[owner] = {key: value for key, value in params[owner].items() if key not in TRANSFORMS}
            params["transform_param"] = {**old, **params.get("transform_param", {})}
    return params


def _inputs(fields, source):
    """Layers of type "Input" for inputs declared outside of layers."""
    names, shapes = fields.get("input", []), fields.get("input_shape", [])
    dims = fields.get("input_dim", [])
    if not shapes and dims:
        shapes = [{"dim": list(dims[i : i + 4])} for i in range(0, len(dims), 4)]
    fits = len(dims) in (0, 4 * len(names)) and len(shapes) in (0, len(names))
    if not fits or (dims and fields.get("input_shape")):
        raise CaffeFileError(
            f"{source} must give each `input` one `input_shape`, or four `input_dim`. Received: {len(names)} input, "
            f"{len(fields.get('input_shape', []))} input_shape, {len(dims)} input_dim."
        )
    shapes = [{"input_param": {"shape": [shape]}} for shape in shapes] or [{} for _ in names]
    return [CaffeLayer(name, "Input", (), (name,), shape) for name, shape in zip(names, shapes, strict=True)]
