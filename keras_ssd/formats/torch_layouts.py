"""The names of layers in the SSDs of PyTorch projects, and their names here.

A `Layout` lists every tensor of a network: its name in the file, its layer and weight here, and the order of
its axes. A few names that no other layout has identify the layout of a file. Convolutions are (out, in, height, width)
there; heads are box-major with the class fastest, as here; coordinates are cx, cy, w, h, as here; input is RGB.

Source of the names: pytorch/vision, models/detection/ssd.py, ssdlite.py and models/mobilenetv3.py;
amdegroot/ssd.pytorch, ssd.py; lufficc/SSD, modeling/backbone/vgg.py and box_head/box_predictor.py;
open-mmlab/mmdetection since 2.14, models/backbones/ssd_vgg.py, necks/ssd_neck.py, dense_heads/ssd_head.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CONVOLUTION = (2, 3, 1, 0)  # (out, in, h, w) -> (h, w, in, out)
DEPTHWISE = (2, 3, 0, 1)  # (channels, 1, h, w) -> (h, w, channels, 1)


@dataclass(frozen=True)
class Place:
    """The target of a tensor: layer, weight, and the order of its axes; None keeps the order."""

    layer: str
    weight: str
    axes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Layout:
    """The tensors of one network of one project.

    Args:
        origin: the project: "torchvision", "amdegroot", "lufficc" or "mmdetection".
        places: {name in the file: `Place`}.
        marks: names that a file of this layout has and no other.
        background_last: the background is the last class column instead of the first.
    """

    origin: str
    places: Mapping[str, Place]
    marks: tuple[str, ...]
    background_last: bool = False


# Position of each convolution of VGG16 in a sequence with its ReLUs and poolings.
_VGG_BLOCKS = ((1, (0, 2)), (2, (5, 7)), (3, (10, 12, 14)), (4, (17, 19, 21)), (5, (24, 26, 28)))
_VGG = {at: f"conv{block}_{i}" for block, places in _VGG_BLOCKS for i, at in enumerate(places, 1)}
_VGG |= {31: "fc6", 33: "fc7"}
_VGG_SOURCES = ("conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2", "conv10_2")
# Blocks of MobileNetV3 large with squeeze-and-excitation; block 1 does not expand.
_SQUEEZED = (4, 5, 6, 11, 12, 13, 14, 15)
_LITE_SOURCES = ("block13_expand", "top", "extra1_2", "extra2_2", "extra3_2", "extra4_2")


def _convolution(module, layer, axes=CONVOLUTION):
    return {f"{module}.weight": Place(layer, "kernel", axes), f"{module}.bias": Place(layer, "bias")}


def _batch_norm(module, layer):
    weights = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return {f"{module}.{there}": Place(layer, here) for there, here in weights.items()}


def _normalised(module, layer, norm=None, axes=CONVOLUTION):
    """A convolution and its BatchNorm, the first two modules of a sequence."""
    return {
        f"{module}.0.weight": Place(layer, "kernel", axes),
        **_batch_norm(f"{module}.1", norm or layer.removesuffix("_conv") + "_bn"),
    }


def _merged(parts):
    return MappingProxyType({name: place for part in parts for name, place in part.items()})


def _vgg_ssd(origin, body, norm, extras, heads, marks, **options):
    """An SSD on VGG16.

    Args:
        origin, marks, options: of the `Layout`.
        body: {module: layer} of VGG16.
        norm: name of the scales of conv4_3.
        extras: pairs of modules of the extra feature maps.
        heads: modules of class and offset head of feature map {}.
    """
    parts = [{norm: Place("conv4_3_norm", "gamma")}]
    parts += [_convolution(module, layer) for module, layer in body.items()]
    for index, pair in enumerate(extras, start=6):
        parts += [_convolution(module, f"conv{index}_{i}") for i, module in enumerate(pair, start=1)]
    for index, source in enumerate(_VGG_SOURCES[: 2 + len(extras)]):
        for head, end in zip(heads, ("conf", "loc"), strict=True):
            parts.append(_convolution(head.format(index), f"{source}_mbox_{end}"))
    return Layout(origin, _merged(parts), marks, **options)


def _in_torchvision(position):
    if position < 23:
        return f"backbone.features.{position}"
    return f"backbone.extra.0.{position - 23}" if position < 30 else f"backbone.extra.0.7.{position - 30}"


def _torchvision_ssd300():
    return _vgg_ssd(
        "torchvision",
        {_in_torchvision(position): layer for position, layer in _VGG.items()},
        "backbone.scale_weight",
        [(f"backbone.extra.{i}.0", f"backbone.extra.{i}.2") for i in range(1, 5)],
        ("head.classification_head.module_list.{}", "head.regression_head.module_list.{}"),
        ("backbone.scale_weight", "head.classification_head.module_list.0.weight"),
    )


def _amdegroot():
    return _vgg_ssd(
        "amdegroot",
        {f"vgg.{position}": layer for position, layer in _VGG.items()},
        "L2Norm.weight",
        [(f"extras.{i}", f"extras.{i + 1}") for i in range(0, 8, 2)],
        ("conf.{}", "loc.{}"),
        ("L2Norm.weight", "vgg.0.weight", "conf.0.weight"),
    )


def _lufficc(maps):
    predictor = "box_head.predictor"
    return _vgg_ssd(
        "lufficc",
        {f"backbone.vgg.{position}": layer for position, layer in _VGG.items()},
        "backbone.l2_norm.weight",
        [(f"backbone.extras.{i}", f"backbone.extras.{i + 1}") for i in range(0, 2 * (maps - 2), 2)],
        (f"{predictor}.cls_headers.{{}}", f"{predictor}.reg_headers.{{}}"),
        ("backbone.l2_norm.weight", f"{predictor}.cls_headers.{maps - 1}.weight"),
    )


def _mmdetection(maps):
    extra = "neck.extra_layers"
    return _vgg_ssd(
        "mmdetection",
        {f"backbone.features.{position}": layer for position, layer in _VGG.items()},
        "neck.l2_norm.weight",
        [(f"{extra}.{i}.0.conv", f"{extra}.{i}.1.conv") for i in range(maps - 2)],
        ("bbox_head.cls_convs.{}.0", "bbox_head.reg_convs.{}.0"),
        ("neck.l2_norm.weight", f"bbox_head.cls_convs.{maps - 1}.0.weight"),
        background_last=True,
    )


def _block(modules, layer, number):
    """The parts of an inverted residual: expansion, depthwise convolution, squeeze-and-excitation, projection."""
    modules = iter(modules)
    if number != 1:
        yield _normalised(next(modules), f"{layer}_expand_conv")
    yield _normalised(next(modules), f"{layer}_depthwise_conv", axes=DEPTHWISE)
    if number in _SQUEEZED:
        module = next(modules)
        yield _convolution(f"{module}.fc1", f"{layer}_squeeze")
        yield _convolution(f"{module}.fc2", f"{layer}_excite")
    yield _normalised(next(modules), f"{layer}_project_conv")


def _torchvision_ssdlite():
    """The backbone is split after the expansion of block 13, and the second part is numbered from 0."""
    first, second = "backbone.features.0", "backbone.features.1"
    parts = [_normalised(f"{first}.0", "stem_conv"), _normalised(f"{second}.3", "top_conv")]
    for number in range(1, 16):
        block = f"{first}.{number}" if number < 13 else f"{second}.{number - 13}"
        modules = [f"{block}.block.{i}" for i in range(4)]
        if number == 13:
            modules = [f"{first}.13", *(f"{second}.0.{i}" for i in (1, 2, 3))]
        parts += _block(modules, f"block{number}", number)
    for index in range(4):
        extra, name = f"backbone.extra.{index}", f"extra{index + 1}"
        parts.append(_normalised(f"{extra}.0", f"{name}_1_conv"))
        parts.append(_normalised(f"{extra}.1", f"{name}_2_dw", f"{name}_2_dw_bn", DEPTHWISE))
        parts.append(_normalised(f"{extra}.2", f"{name}_2_conv"))
    for index, source in enumerate(_LITE_SOURCES):
        for head, end in (("classification", "conf"), ("regression", "loc")):
            module, layer = f"head.{head}_head.module_list.{index}", f"{source}_mbox_{end}"
            parts.append(_normalised(f"{module}.0", f"{layer}_dw", f"{layer}_dw_bn", DEPTHWISE))
            parts.append(_convolution(f"{module}.1", layer))
    marks = (f"{second}.0.2.fc1.weight", "head.classification_head.module_list.0.1.weight")
    return Layout("torchvision", _merged(parts), marks)


def layouts() -> tuple[Layout, ...]:
    """All layouts; those of more feature maps before those of fewer."""
    return (
        _torchvision_ssd300(),
        _torchvision_ssdlite(),
        _amdegroot(),
        _lufficc(7),
        _lufficc(6),
        _mmdetection(7),
        _mmdetection(6),
    )
