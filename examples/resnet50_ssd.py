"""Makes an SSD of a ResNet50 of Keras, shows what it is composed of, and trains it on annotated images.

    python examples/resnet50_ssd.py --classes cat,dog --out mine.keras
    python examples/resnet50_ssd.py --data photos --weights imagenet --epochs 20 --out mine.keras

Without `--data` nothing is trained. `photos` stands for a folder of images with annotations (VOC, COCO, YOLO or CSV).
The backbone goes in as Keras makes it; the SSD gets ResNet's preprocessing in front, three smaller feature maps behind,
and anchors: for images of 300x300 the 8,732 of the original SSD300.
"""

import argparse
import sys

import keras

import keras_ssd

# The last layers before each of ResNet50's last three halvings, and its end: an 8th, a 16th and a 32nd of the image.
TAPS = ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out")


def build(classes, input_size=(300, 300), weights=None, head="plain", fpn=False):
    """An SSD on ResNet50.

    Args:
        classes: names without background.
        input_size: (height, width) in pixels.
        weights: of the backbone: None, or "imagenet", which Keras downloads.
        head: "plain", "separable" or "shared".
        fpn: whether coarse maps tell the finer ones what they know.
    """
    backbone = keras.applications.ResNet50(include_top=False, weights=weights, input_shape=(*input_size, 3))
    return keras_ssd.ssd(backbone, taps=TAPS, classes=classes, head=head, fpn=fpn, name="ssd_resnet50")


def train(net, images, epochs, batch_size):
    """Trains everything but the first layers, whose edges and colours are those of any images."""
    for layer in net.layers:
        if layer.name.startswith(("conv1_", "conv2_")) or layer.name.endswith("_bn"):
            layer.trainable = False  # small batches have no good averages of their own
    net.compile(keras.optimizers.Adam(2e-4, clipnorm=10.0), loss=keras_ssd.SSDLoss())
    batches = keras_ssd.data.batches(images, net, batch_size=batch_size, augment="ssd")
    net.fit(batches, epochs=epochs)


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="cat,dog", help="names without background, where no data tell them")
    parser.add_argument("--input-size", type=int, nargs=2, default=(300, 300), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--weights", choices=("imagenet",), help="of the backbone, downloaded by Keras")
    parser.add_argument("--head", choices=("plain", "separable", "shared"), default="plain")
    parser.add_argument("--fpn", action="store_true", help="with a feature pyramid")
    parser.add_argument("--data", help="annotated images to train on")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", help="a .keras file to save the model to")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    images = keras_ssd.data.read(args.data, policy="drop") if args.data else None
    classes = args.classes.split(",") if images is None else images.classes
    net = build(classes, tuple(args.input_size), args.weights, args.head, args.fpn)
    print(net.composition)
    print(f"{net.count_params():,} values")
    if images is not None:
        train(net, images, args.epochs, args.batch_size)
    if args.out:
        net.save(args.out)
        print(f"Saved {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
