"""Blobs of a .caffemodel -> the arrays that the porter writes."""

import math

import numpy as np

from keras_ssd.caffe.files import CaffeNet
from keras_ssd.caffe.importer.building import Plan
from keras_ssd.formats import NamedArrays, WeightFileError
from keras_ssd.zoo.port import PortError, difference


def arrays_for(plan: Plan, weights: CaffeNet, model_name: str) -> tuple[NamedArrays, list[tuple[str, tuple[int, ...]]]]:
    """(`NamedArrays` for every weight of the plan, [(layer/blob, shape)] of arrays that the model does not use).

    Raises:
        PortError: blobs are missing or of another shape; all are listed.
        WeightFileError: values are not finite.
    """
    by_name = {layer.name: layer for layer in weights.layers if layer.blobs}
    arrays, missing, misshaped, used = {}, [], [], set()
    for placed in plan.placed:
        stored, source = placed.stored, _source(placed)
        blobs = list(by_name[source.name].blobs) if source.name in by_name else []
        if stored.index >= len(blobs):
            missing.append(f"{source.name}/{stored.index}")
            continue
        used.add((source.name, stored.index))
        blob = blobs[stored.index]
        if not _same_shape(blob.shape, stored.shape):
            misshaped.append((f"{source.name}/{stored.index}", tuple(blob.shape), tuple(stored.shape)))
            continue
        array = blob.reshape(stored.shape)
        if stored.factor is not None and stored.factor < len(blobs):
            used.add((source.name, stored.factor))
            factor = float(blobs[stored.factor].ravel()[0])
            array = array * np.float32(0.0 if factor == 0 else 1.0 / factor)
        array = np.ascontiguousarray(stored.convert(array), np.float32)
        if not np.isfinite(array).all():
            raise WeightFileError(
                f"{weights.path}: blob {stored.index} of layer '{source.name}' holds values that are not finite "
                "numbers. The file is damaged, or the training that wrote it had diverged."
            )
        arrays.setdefault(placed.target, {})[placed.weight] = array
    if missing or misshaped:
        needed = list(dict.fromkeys(_source(placed).name for placed in plan.placed))
        raise PortError(_message(weights, model_name, by_name, needed, missing, misshaped), (), missing, misshaped)
    unused = [
        (f"{name}/{index}", tuple(blob.shape))
        for name, layer in by_name.items()
        for index, blob in enumerate(layer.blobs)
        if (name, index) not in used
    ]
    return NamedArrays(arrays, format="caffemodel", path=weights.path), unused


def _source(placed):
    return placed.stored.layer or placed.layer


def _same_shape(found, wanted):
    """Whether the shapes are equal, except for ones that old files add."""
    if tuple(found) == tuple(wanted):
        return True
    return math.prod(found) == math.prod(wanted) and _trimmed(found) == _trimmed(wanted)


def _trimmed(shape):
    return [side for side in shape if side != 1]


def _message(weights, model_name, by_name, needed, missing, misshaped):
    lines = [f"The weights of {weights.path or weights.name} do not fit the net '{model_name}'; nothing was loaded."]
    lines += difference("not in the file (layer/blob)", missing)
    shapes = [f"{name} {given} where the net has {wanted}" for name, given, wanted in misshaped]
    lines += difference("of another shape", shapes)
    there = [name for name in needed if name in by_name]
    if missing and not misshaped and not there:
        lines.append(
            f"None of these layers has weights in the file, which knows {_some(by_name)}: it is of another net."
        )
    elif missing and not misshaped and len(there) < len(needed):
        lines.append(
            f"The file holds a part of the net: {len(there)} of its {len(needed)} layers with weights, such as "
            f"{_some(there)}. Give the file of the whole net; that of a backbone alone has no heads."
        )
    return "\n".join(lines)


def _some(names):
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "no layer with weights"
