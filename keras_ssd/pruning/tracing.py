"""Follows the channels through a network's graph: which belong together, and which entries of weights are theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_ssd.layer_calls import Call, calls_of
from keras_ssd.layers import AnchorBoxes, BoxesOfClasses, ClassColumns, DecodeDetections
from keras_ssd.pruning.channels import Channels
from keras_ssd.pruning.kinds import NoRuleError, Reading, Use, WeightAxes, use_of

ENDS = (AnchorBoxes, BoxesOfClasses, ClassColumns, DecodeDetections)  # nobody expects these to be pruned


@dataclass(frozen=True)
class Work:
    """Multiplications of one kernel in one call: `each` for every combination of its channels.

    Args:
        each: FLOPs; two for a multiplication with an addition.
        axes: the groups of the channels along each axis of the kernel that has channels.
    """

    each: int
    axes: tuple[np.ndarray, ...]

    def flops(self, alive: np.ndarray) -> int:
        """The FLOPs with the groups of which `alive` is true."""
        return self.each * int(np.prod([np.count_nonzero(alive[groups]) for groups in self.axes], dtype=np.int64))


@dataclass(frozen=True)
class Traced:
    """The channels of a network, by groups that go together.

    Args:
        num_groups: how many groups there are.
        makers: {layer that makes channels of its own: their groups}, where some of these may go.
        kept: the groups that cannot go, sorted.
        weights: {layer: {weight: {axis: groups}}}; where a weight has two, the one that is made stands last.
        options: {layer: (entry of its configuration with the number of channels, their groups)}.
        works: the multiplications of all calls.
        left: names of the layers that cannot be followed, with their kinds.
    """

    num_groups: int
    makers: Mapping[str, np.ndarray]
    kept: np.ndarray
    weights: Mapping[str, WeightAxes]
    options: Mapping[str, tuple[str, np.ndarray]]
    works: tuple[Work, ...]
    left: tuple[str, ...]


def trace(model: keras.Model) -> Traced:
    """Follows the channels of a functional model."""
    return _Tracer(model).traced()


def flops_of_model(model: keras.Model) -> int:
    """FLOPs of one image in all convolutions and dense layers; a multiplication with an addition counts as two."""
    traced = trace(model)
    alive = np.ones(traced.num_groups, bool)
    return sum(work.flops(alive) for work in traced.works)


class _Tracer:
    def __init__(self, model):
        self._model = model
        self._channels = Channels()
        self._of_tensor = {}  # {id of a tensor: channels}
        self._made = {}  # {layer's name: channels}
        self._uses: dict[str, Use] = {}
        self._works: list[tuple[int, list[np.ndarray]]] = []
        self._left = {}
        self._images = set()  # ids of tensors that no convolution has made

    def traced(self):
        for tensor in self._model.inputs:
            self._end(tensor)
            self._images.add(id(tensor))
        for call in calls_of(self._model):
            self._follow(call)
        for tensor in self._model.outputs:
            self._channels.keep(self._of_tensor[id(tensor)])
        groups, kept = self._channels.groups(), self._channels.kept()
        numbers, groups = np.unique(groups, return_inverse=True)
        kept = np.searchsorted(numbers, kept)
        makers = {name: groups[made] for name, made in self._made.items()}
        return Traced(
            num_groups=len(numbers),
            makers={name: made for name, made in makers.items() if not np.isin(made, kept).all()},
            kept=kept,
            weights={
                name: {weight: {axis: groups[c] for axis, c in axes.items()} for weight, axes in use.weights.items()}
                for name, use in self._uses.items()
                if use.weights
            },
            options={name: (use.option, groups[use.outputs]) for name, use in self._uses.items() if use.option},
            works=tuple(Work(each, tuple(groups[axis] for axis in axes)) for each, axes in self._works),
            left=tuple(self._left.values()),
        )

    def _follow(self, call: Call):
        [output, *others] = call.outputs
        inputs = [self._of_tensor[id(tensor)] for tensor in call.inputs]
        name = call.layer.name
        try:
            if others or not inputs or not all(map(len, inputs)):
                raise NoRuleError
            use = use_of(self._reading(call, inputs))
        except NoRuleError:
            self._leave(call, inputs)
            return
        self._of_tensor[id(output)] = use.outputs
        before = self._uses.setdefault(name, use)
        for weight, axes in use.weights.items():  # of a layer that is called again
            for axis, channels in axes.items():
                self._channels.tie(channels, before.weights[weight][axis])
        if name not in self._made and {id(tensor) for tensor in call.inputs} <= self._images:
            self._images.add(id(output))
        self._count(call, use)

    def _reading(self, call, inputs):
        args, kwargs = call.arguments({id(tensor): None for tensor in call.inputs})
        others = [value for value in keras.tree.flatten([args, kwargs]) if value is not None]
        shapes = [tuple(tensor.shape) for tensor in (*call.inputs, *call.outputs)]
        make = lambda count: self._made_by(call.layer.name, count)  # noqa: E731
        return Reading(call.layer, inputs, shapes, self._channels, make, others)

    def _made_by(self, name, count):
        if name not in self._made:
            self._made[name] = self._channels.fresh(count)
        return self._made[name]

    def _leave(self, call, inputs):
        """A layer that cannot be followed: what it reads and makes stays."""
        images = {id(tensor) for tensor in call.inputs} <= self._images
        if not images and not isinstance(call.layer, ENDS):
            self._left[call.layer.name] = f"{call.layer.name} ({type(call.layer).__name__})"
        for channels in inputs:
            self._channels.keep(channels)
        for tensor in call.outputs:
            self._end(tensor)
            if images:
                self._images.add(id(tensor))
        self._count(call, None)

    def _end(self, tensor):
        count = tensor.shape[-1] if len(tensor.shape) > 1 else None
        self._of_tensor[id(tensor)] = self._channels.fresh(count or 0)
        self._channels.keep(self._of_tensor[id(tensor)])

    def _count(self, call, use):
        cells = int(np.prod(call.outputs[0].shape[1:-1], dtype=np.int64))
        for weight in getattr(call.layer, "weights", ()):
            if not weight.name.endswith("kernel"):
                continue
            axes = use.weights[weight.name] if use else {}
            each = np.prod([side for axis, side in enumerate(weight.shape) if axis not in axes], dtype=np.int64)
            self._works.append((2 * cells * int(each), list(axes.values())))
