"""Puts an SSD on a network of `keras.applications`: MobileNetV2 with two taps and three extra feature maps.

    python examples/any_backbone.py --classes cat,dog --input-size 224 320 --out mine.keras

The model is untrained. What the example shows is how the parts fit: backbone, taps, extras and anchors.
"""

import argparse
import sys

import keras
import numpy as np

import keras_ssd
from keras_ssd import AnchorRecipe, Extra
from keras_ssd.anchors import RecipeLevel
from keras_ssd.backbones import ConvRow

# Layers of MobileNetV2 whose outputs the first two heads read: a 16th and a 32nd of the image's size.
TAPS = ("block_13_expand_relu", "out_relu")

# Three more maps, each half as large as the one before: a 1x1 convolution to save work, then a 3x3 one of stride 2.
EXTRAS = tuple(
    Extra((ConvRow(f"extra{i}_1", filters // 2, 1), ConvRow(f"extra{i}_2", filters, 3, stride=2, pad=1)))
    for i, filters in ((1, 512), (2, 256), (3, 256))
)

# One row a feature map: its grid for a 320x320 image, smallest and next size of its boxes in pixels of that image,
# and their ratios of width to height. For other images the sizes grow with the shorter side.
ANCHORS = AnchorRecipe(
    (320, 320),
    (
        RecipeLevel((20, 20), 32, 64, (2,)),
        RecipeLevel((10, 10), 64, 118, (2, 3)),
        RecipeLevel((5, 5), 118, 172, (2, 3)),
        RecipeLevel((3, 3), 172, 226, (2, 3)),
        RecipeLevel((2, 2), 226, 280, (2,)),
    ),
    truncate_sizes=False,  # Caffe cuts sizes to whole pixels; a new model has no reason to
)


def build(classes, input_size=(320, 320), alpha=1.0):
    """An untrained SSD on MobileNetV2.

    Args:
        classes: names without background.
        input_size: (height, width) in pixels.
        alpha: MobileNetV2's width.
    """
    images = keras.Input((*input_size, 3), name="images")  # RGB, 0..255
    # The preprocessing of the backbone belongs into the model: `detect` and everybody else hand over plain RGB.
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocessing")(images)
    backbone = keras.applications.MobileNetV2(input_tensor=x, include_top=False, weights=None, alpha=alpha)
    return keras_ssd.ssd(backbone, TAPS, classes, ANCHORS, extras=EXTRAS, name="ssd_mobilenet_v2")


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="cat,dog", help="names without background (default: cat,dog)")
    parser.add_argument("--input-size", type=int, nargs=2, default=(320, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--alpha", type=float, default=1.0, help="width of MobileNetV2 (default: 1.0)")
    parser.add_argument("--out", help="a .keras file to save the model to")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    model = build(args.classes.split(","), tuple(args.input_size), args.alpha)
    layers = [*TAPS, *(extra.layer for extra in EXTRAS)]
    for name, level in zip(layers, model.anchor_spec.levels, strict=True):
        sizes = ", ".join(f"{height:.0f}x{width:.0f}" for height, width in level.boxes_hw)
        print(f"{name}: {level.grid_hw[0]}x{level.grid_hw[1]} cells, boxes (height x width) {sizes}")
    print(f"{model.anchor_spec.num_anchors:,} anchors, {model.count_params():,} values")

    # It detects, though what an untrained network reports means nothing.
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), "uint8")
    (found,) = model.detect(noise, confidence=0.01)
    print(f"{len(found)} boxes on noise")
    if args.out:
        model.save(args.out)
        print(f"Saved {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
