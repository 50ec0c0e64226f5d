"""`ssd()`: anchors, extra layers and heads on any backbone."""

import fnmatch
from dataclasses import dataclass

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec
from keras_ssd.backbones.blocks import ConvStyle, SeparableRow, apply_row, apply_separable_row
from keras_ssd.layers import AnchorBoxes
from keras_ssd.models.heads import Tap, feature_map, head_of
from keras_ssd.models.model import SSD
from keras_ssd.names import check_class_names, unknown_name


@dataclass(frozen=True)
class Extra:
    """Convolutions behind the backbone that make one more feature map; the last row's name is the map's name."""

    rows: tuple

    @property
    def layer(self):
        """Name of the feature map."""
        return self.rows[-1].name


def ssd(backbone, taps, classes, anchors, *, extras=(), head="plain", style=None, freeze=(), decoding=None, name="ssd"):
    """An SSD on any functional backbone.

    Args:
        backbone: functional `keras.Model` from pictures (B, H, W, 3), 0..255 RGB, with its preprocessing inside. Its
            layers become layers of the new model, under their own names.
        taps: layer names or `Tap`s, from the finest feature map to the coarsest.
        classes: class names without background.
        anchors: an `AnchorSpec`, or an `AnchorRecipe` that is fitted to the feature maps; one level for each tap and
            each extra.
        extras: `Extra`s behind the backbone's output.
        head: "plain" (3x3 convolutions), "separable" (SSDlite) or "shared" (RetinaNet's towers), or one of
            `keras_ssd.models.heads` with other numbers.
        style: a `ConvStyle` for extras and heads; None is Caffe's xavier without penalty.
        freeze: patterns of layer names that are not trained, such as ("conv1_*", "conv2_*").
        decoding: options of `DecodeDetections` that the model's predictions want, see `SSD`.
        name: the model's name.

    Returns:
        An `SSD` whose output is raw predictions (B, N, C + 1 + 12), see `keras_ssd.coding.Predictions`.

    Raises:
        ValueError: unknown taps or freeze patterns, bad class names, anchors that do not fit the feature maps.

    Example:
        >>> body = keras_ssd.backbones.vgg16((300, 300))
        >>> spec = keras_ssd.anchors.named_recipe("ssd300_voc")
    """
    classes = check_class_names("classes", classes)
    pictures, x = _ends(backbone)
    style, head = style or ConvStyle(), head_of(head)
    taps = [tap if isinstance(tap, Tap) else Tap(tap) for tap in taps]
    maps = [feature_map(tap, _tapped(backbone, tap)) for tap in taps]
    for extra in extras:
        for row in extra.rows:
            x = (apply_separable_row if isinstance(row, SeparableRow) else apply_row)(x, row, style)
        taps.append(Tap(extra.layer))
        maps.append(x)
    spec = _fitted(anchors, pictures.shape[1:3], maps)
    sources = [(tap, x, level.boxes_per_cell) for tap, x, level in zip(taps, maps, spec.levels, strict=True)]
    confidence_maps, offset_maps = head.maps(sources, len(classes), style)
    predictions = AnchorBoxes(spec, name="predictions")(confidence_maps, offset_maps)
    model = SSD(pictures, predictions, name=name, class_names=classes, decoding=decoding)
    freeze_layers(model, freeze)
    return model


def _ends(backbone):
    """The one input and the one output of a backbone."""
    if not isinstance(backbone, keras.Model) or not getattr(backbone, "inputs", None):
        raise TypeError(f"`backbone` must be a functional keras.Model from pictures. Received: backbone={backbone!r}")
    shapes = [tuple(x.shape) for x in backbone.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or len(backbone.outputs) != 1:
        raise ValueError(
            "`backbone` must have one input (B, H, W, 3) of fixed size, channels last, and one output. "
            f"Received: inputs {shapes} and {len(backbone.outputs)} outputs"
        )
    return backbone.inputs[0], backbone.outputs[0]


def _tapped(backbone, tap):
    names = [layer.name for layer in backbone.layers]
    if tap.layer not in names:
        raise ValueError(unknown_name(f"layer of the backbone '{backbone.name}'", tap.layer, names))
    return backbone.get_layer(tap.layer).output


def _fitted(anchors, input_size, maps):
    grids = [tuple(x.shape[1:3]) for x in maps]
    if isinstance(anchors, AnchorRecipe):
        return anchors.spec(tuple(input_size), grids)
    if not isinstance(anchors, AnchorSpec):
        raise TypeError(f"`anchors` must be an AnchorSpec or an AnchorRecipe. Received: anchors={anchors!r}")
    if list(anchors.grids) != grids or anchors.image_size != tuple(input_size):
        raise ValueError(
            f"The anchors are made for pictures of {anchors.image_size} and grids {list(anchors.grids)}; the network "
            f"has {tuple(input_size)} and {grids}. Use an AnchorRecipe, which adapts, or other taps."
        )
    return anchors


def freeze_layers(model, patterns):
    """Sets `trainable=False` on the layers whose names match.

    Raises:
        ValueError: a pattern that matches no layer.
    """
    if isinstance(patterns, str):
        patterns = (patterns,)
    names = [layer.name for layer in model.layers]
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise ValueError(unknown_name("layer in `freeze`", pattern, names))
        for hit in hits:
            model.get_layer(hit).trainable = False
