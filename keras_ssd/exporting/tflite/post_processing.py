"""The operation of suppression behind a network, and the operators that finish what it gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.exporting.tflite.flat import INT32, FlatModel
from keras_ssd.exporting.tflite.suppression import NAME, NEVER_LOST, PostProcess
from keras_ssd.file_arrays import TFLITE_OUTPUTS

ADD, CUSTOM, MAXIMUM, MINIMUM, SLICE = 0, 32, 55, 57, 65  # BuiltinOperator
# The kind and the class of the options of each.
OPTIONS = {
    ADD: (11, "AddOptionsT"),
    MAXIMUM: (39, "MaximumMinimumOptionsT"),
    MINIMUM: (39, "MaximumMinimumOptionsT"),
    SLICE: (48, "SliceOptionsT"),
}


def add_post_process(flat: FlatModel, boxes: int, scores: int, post: PostProcess) -> None:
    """Puts the operation of suppression behind a network.

    Args:
        flat: the `FlatModel`.
        boxes, scores: places of the network's outputs.
        post: the `PostProcess`.
    """
    from flatbuffers import flexbuffers

    count = post.settings["max_detections"]
    anchors = flat.tensor("anchors", post.anchors_yxhw.shape, values=post.anchors_yxhw)
    shapes = ((1, count, 4), (1, count), (1, count), (1,))
    places = [flat.tensor(NAME if index == 0 else f"{NAME}:{index}", shape) for index, shape in enumerate(shapes)]
    flat.operator(
        CUSTOM,
        (boxes, scores, anchors),
        places,
        custom=NAME,
        customOptions=np.frombuffer(flexbuffers.Dumps(post.settings), np.uint8),
    )
    steps = _Steps(flat)
    if count > post.rows:
        places = [*(steps.first_rows(place, post.rows) for place in places[:3]), steps.at_most(places[3], post.rows)]
    if post.clipped:
        places[0] = steps.at_most(steps.at_least(places[0], 0), 1)
    if post.unused:
        places[1] = steps.without_unused(places[1], post.unused)
    flat.set_outputs(dict(zip(TFLITE_OUTPUTS, places, strict=True)))


class _Steps:
    """Operators behind the operation, each from a tensor to a new one."""

    def __init__(self, flat: FlatModel) -> None:
        self._flat = flat

    def at_least(self, place: int, limit: float) -> int:
        return self._step(MAXIMUM, "at_least", (place, self._constant(limit)))

    def at_most(self, place: int, limit: float) -> int:
        return self._step(MINIMUM, "at_most", (place, self._constant(limit)))

    def first_rows(self, place: int, rows: int) -> int:
        shape = list(self._flat.graph.tensors[place].shape)
        shape[1] = rows
        begin, size = (
            self._flat.tensor(f"{NAME}_{name}", (len(shape),), INT32, np.asarray(values, np.int32))
            for name, values in (("begin", [0] * len(shape)), ("size", shape))
        )
        return self._step(SLICE, "first_rows", (place, begin, size), shape)

    def without_unused(self, place: int, unused: int) -> int:
        """Class ids from places of columns: the unused ones stand behind the first `NEVER_LOST` classes."""
        moved = self._step(ADD, "moved", (place, self._constant(-unused)))
        first = self.at_most(place, NEVER_LOST - 1)
        return self._step(MAXIMUM, "classes", (moved, first))

    def _constant(self, value: float) -> int:
        return self._flat.tensor(f"{NAME}_{value}", (1,), values=np.asarray([value], np.float32))

    def _step(self, code: int, name: str, inputs: Sequence[int], shape: Any = None) -> int:
        shape = self._flat.graph.tensors[inputs[0]].shape if shape is None else shape
        made = self._flat.tensor(f"{NAME}_{name}_{len(self._flat.graph.tensors)}", shape)
        kind, options = OPTIONS[code]
        options = getattr(self._flat.schema, options)()
        self._flat.operator(code, inputs, (made,), builtinOptionsType=kind, builtinOptions=options)
        return made
