"""torchvision's SSDs a second time: their tensors, filled by a rule, and their arithmetic in plain PyTorch."""

import functools
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parent / "reference" / "torchvision"
SSD300, SSDLITE = "ssd300_vgg16", "ssdlite320_mobilenet_v3_large"
SIDES = {SSD300: 300, SSDLITE: 320}
GAINS = {SSD300: (1.25, 0.2), SSDLITE: (1.55, 3.0)}  # of convolutions in the body and of those at the end of heads


@functools.cache
def shapes(model):
    """{name: shape} of the state dict of torchvision 0.28, 91 classes."""
    return json.loads((REFERENCE / "state_dicts.json").read_text())[model]


def arrays(model):
    """{name: array} by a rule that numpy keeps for ever; features stay of the order of 1."""
    made = OrderedDict()
    for index, (name, shape) in enumerate(shapes(model).items()):
        random = np.random.RandomState(index)
        made[name] = np.asarray(_filled(name, tuple(shape), random, GAINS[model]))
    return made


def _filled(name, shape, random, gains):
    if name.endswith("num_batches_tracked"):
        return np.array(7, np.int64)
    if name.endswith("scale_weight"):
        return random.uniform(15, 25, shape).astype(np.float32)
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) == 4:
        gain = gains["module_list" in name and shape[1] > 1]
        return random.normal(0, np.sqrt(gain / np.prod(shape[1:])), shape).astype(np.float32)
    middle = 1.0 if name.endswith(".1.weight") else 0.0
    return (middle + random.uniform(-0.2, 0.2, shape)).astype(np.float32)


def images(model, count=1):
    """RGB images (B, H, W, 3), 0..255."""
    side = SIDES[model]
    return np.random.RandomState(3).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


def raw_predictions(model, tensors, batch):
    """Class logits (B, N, 91) and offsets (B, N, 4), computed by PyTorch.

    Args:
        model: `SSD300` or `SSDLITE`.
        tensors: {name: torch.Tensor}.
        batch: images as numpy array.
    """
    import torch

    net = Net(tensors)
    x = torch.as_tensor(batch).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        maps = net.ssd300_maps(x) if model == SSD300 else net.ssdlite_maps(x)
        heads = ("classification", 91), ("regression", 4)
        return tuple(
            torch.cat([net.columns(f"head.{head}_head.module_list.{i}", y, width) for i, y in enumerate(maps)], 1)
            for head, width in heads
        )


class Net:
    """Layers by the names of their tensors."""

    def __init__(self, tensors):
        self.tensors = tensors

    def conv(self, x, name, **options):
        import torch.nn.functional as F

        weight = self.tensors[f"{name}.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        return F.conv2d(x, weight, self.tensors.get(f"{name}.bias"), groups=groups, **options)

    def normed(self, x, name, activation=None, stride=1):
        """Convolution that keeps the size but for its stride, BatchNorm, activation."""
        import torch.nn.functional as F

        pad = self.tensors[f"{name}.0.weight"].shape[-1] // 2
        x = self.conv(x, f"{name}.0", stride=stride, padding=pad)
        norm = (self.tensors[f"{name}.1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *norm, training=False, eps=0.001)
        return x if activation is None else activation(x)

    def columns(self, name, x, width):
        import torch.nn.functional as F

        if f"{name}.1.weight" in self.tensors:
            x = self.conv(self.normed(x, f"{name}.0", F.relu6), f"{name}.1")
        else:
            x = self.conv(x, name, padding=1)
        batch, channels, high, wide = x.shape
        x = x.view(batch, channels // width, width, high, wide).permute(0, 3, 4, 1, 2)
        return x.reshape(batch, -1, width)

    def ssd300_maps(self, x):
        import torch
        import torch.nn.functional as F

        x = (x - torch.tensor([0.48235, 0.45882, 0.40784])[:, None, None]) / (1 / 255)
        stages = (((0, 2), False), ((5, 7), False), ((10, 12, 14), True), ((17, 19, 21), None))
        for places, ceil in stages:
            for place in places:
                x = F.relu(self.conv(x, f"backbone.features.{place}", padding=1))
            if ceil is not None:
                x = F.max_pool2d(x, 2, 2, ceil_mode=ceil)
        maps = [F.normalize(x) * self.tensors["backbone.scale_weight"][:, None, None]]
        x = F.max_pool2d(x, 2, 2)
        for place in (1, 3, 5):
            x = F.relu(self.conv(x, f"backbone.extra.0.{place}", padding=1))
        x = F.max_pool2d(x, 3, 1, 1)
        x = F.relu(self.conv(x, "backbone.extra.0.7.1", padding=6, dilation=6))
        x = F.relu(self.conv(x, "backbone.extra.0.7.3"))
        maps.append(x)
        for index, options in ((1, {"padding": 1, "stride": 2}), (2, {"padding": 1, "stride": 2}), (3, {}), (4, {})):
            x = F.relu(self.conv(x, f"backbone.extra.{index}.0"))
            x = F.relu(self.conv(x, f"backbone.extra.{index}.2", **options))
            maps.append(x)
        return maps

    def ssdlite_maps(self, x):
        import torch.nn.functional as F

        head, tail = "backbone.features.0", "backbone.features.1"
        x = self.normed((x - 0.5) / 0.5, f"{head}.0", F.hardswish, 2)
        for index in range(1, 13):
            modules = [f"{head}.{index}.block.{i}" for i in range(4)]
            x = self.bottleneck(x, modules, F.relu if index < 7 else F.hardswish, 2 if index in (2, 4, 7) else 1)
        x = self.normed(x, f"{head}.13", F.hardswish)
        maps = [x]
        x = self.bottleneck(x, [f"{tail}.0.{i}" for i in (1, 2, 3)], F.hardswish, 2, expands=False)
        for index in (1, 2):
            x = self.bottleneck(x, [f"{tail}.{index}.block.{i}" for i in range(4)], F.hardswish, 1)
        x = self.normed(x, f"{tail}.3", F.hardswish)
        maps.append(x)
        for index in range(4):
            x = self.normed(x, f"backbone.extra.{index}.0", F.relu6)
            x = self.normed(x, f"backbone.extra.{index}.1", F.relu6, 2)
            x = self.normed(x, f"backbone.extra.{index}.2", F.relu6)
            maps.append(x)
        return maps

    def bottleneck(self, x, modules, activation, stride, expands=True):
        import torch.nn.functional as F

        given = x
        modules = iter(modules)
        module = next(modules)
        if expands and self.tensors[f"{module}.0.weight"].shape[1] > 1:
            x = self.normed(x, module, activation)
            module = next(modules)
        x = self.normed(x, module, activation, stride)
        module = next(modules)
        if f"{module}.fc1.weight" in self.tensors:
            squeezed = F.relu(self.conv(x.mean((2, 3), keepdim=True), f"{module}.fc1"))
            x = x * F.hardsigmoid(self.conv(squeezed, f"{module}.fc2"))
            module = next(modules)
        x = self.normed(x, module)
        return x + given if x.shape == given.shape and stride == 1 and expands else x
