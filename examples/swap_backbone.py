"""Puts another backbone under a trained detector, and teaches it to see what the old one saw.

    python examples/swap_backbone.py mine.keras photos --backbone mobilenet_v2 --width 0.5 --out small.keras

`mine.keras` is a detector that `keras_ssd.ssd` made and that was trained, `photos` a folder of images; they need no
annotations. Heads, extra layers, anchors and classes of the detector stay as they are, weights included. The new
backbone's maps of the same grids go through a 1x1 convolution each, which brings them to the width that the heads know.
Then the new maps learn to be what the old ones are on the same images. That is a start, from which training on
annotated images goes on.
"""

import argparse
import sys

import keras
import numpy as np

import keras_ssd
from keras_ssd.backbones import feature_maps, possible_taps, prepared
from keras_ssd.images import expand_sources, read_image, resize_bilinear
from keras_ssd.models.extras import derive_extras
from keras_ssd.zoo.port import arrays_of, port


def tapped(detector):
    """The `Tap`s of a detector, without the extra layers behind its backbone."""
    names = [layer.name for layer in detector.layers]
    taps = []
    for source in detector.sources:
        layer = source.removesuffix("_norm")
        if layer.startswith("extra"):
            continue
        norm = detector.get_layer(source) if layer != source and layer in names else None
        batch_norm = isinstance(norm, keras.layers.BatchNormalization)
        scale = norm.scale if norm is not None and not batch_norm else None
        taps.append(keras_ssd.Tap(layer if norm is not None else source, l2_scale=scale, batch_norm=batch_norm))
    if not taps:
        raise ValueError("The detector does not tell what its heads read. Give one that keras_ssd.ssd has made.")
    return taps


def bridged(name, width, detector, taps):
    """The new backbone, and behind it a map with the name, grid and channels of each tapped one."""
    body = prepared(name, detector.input_size, width=width)
    found = feature_maps(body)
    wanted = feature_maps(detector)
    maps = []
    for tap in taps:
        old = wanted[tap.layer]
        same = [new for new in found.values() if new.grid_hw == old.grid_hw and new.passage]
        if not same:
            raise ValueError(f"{name} has no map of {old.grid_hw} cells. It has: {possible_taps(found)}.")
        maps.append(keras.layers.Conv2D(old.channels, 1, name=tap.layer)(same[-1].tensor))
    return keras.Model(body.inputs, maps, name=f"{body.name}_bridged")


def swap(detector, name, width=None):
    """The detector on another backbone; everything behind the tapped maps keeps its weights.

    Args:
        detector: an `SSD` that `keras_ssd.ssd` made.
        name: a name of `keras_ssd.backbones.backbone_names()`.
        width: of a MobileNet.
    """
    taps = tapped(detector)
    body = bridged(name, width, detector, taps)
    separable = any(layer.name.endswith("_mbox_conf_dw") for layer in detector.layers)
    shared = any(layer.name == "shared_mbox_conf" for layer in detector.layers)
    filters = {layer.name: layer.filters for layer in detector.layers if isinstance(layer, keras.layers.Conv2D)}
    first = filters.get("extra1_2", filters.get("extra1_2_conv", 256))
    count, last = len(detector.sources) - len(taps), feature_maps(detector)[taps[-1].layer]
    net = keras_ssd.ssd(
        body,
        taps,
        detector.class_names,
        detector.anchor_spec,
        preprocessing="none",  # it is inside
        extras=derive_extras(last.grid_hw, count, separable=separable, filters=first),
        head="separable" if separable else "shared" if shared else "plain",
        decoding=detector.decoding,
        name=f"{detector.name}_{name}",
    )
    own = {layer.name for layer in body.layers}
    behind = [layer.name for layer in net.layers if layer.name not in own]
    net.weights_report = port(net, arrays_of(detector, layers=behind), keep=tuple(own))
    return net


def imitate(net, detector, images, epochs, batch_size=8):
    """Trains the new backbone until its tapped maps are those of the old one; returns the losses by epoch."""
    names = [tap.layer for tap in tapped(detector)]
    teacher = keras.Model(detector.input, [detector.get_layer(name).output for name in names])
    student = keras.Model(net.input, [net.get_layer(name).output for name in names])
    wanted = [np.asarray(maps) for maps in teacher.predict(images, batch_size=batch_size, verbose=0)]
    # Maps differ in scale: each counts by the share of its variance that is not explained.
    weights = [1 / max(float(maps.var()), 1e-6) for maps in wanted]
    student.compile(keras.optimizers.Adam(1e-3), loss=["mse"] * len(wanted), loss_weights=weights)
    return student.fit(images, wanted, epochs=epochs, batch_size=batch_size, verbose=0).history["loss"]


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", help="a .keras file")
    parser.add_argument("images", nargs="+", help="images, or folders of them")
    parser.add_argument("--backbone", default="mobilenet_v2", choices=keras_ssd.backbones.backbone_names())
    parser.add_argument("--width", type=float, help="of a MobileNet")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--out", default="swapped.keras")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    detector = keras_ssd.load(args.detector)
    net = swap(detector, args.backbone, args.width)
    print(net.weights_report)
    print(f"{detector.count_params():,} values before, {net.count_params():,} now")
    sources = [read_image(source.image) for source in expand_sources(args.images)]
    images = np.stack([resize_bilinear(image, net.input_size) for image in sources]).astype(np.float32)
    losses = imitate(net, detector, images, args.epochs)
    print(f"Imitation: {losses[0]:.2f} after the first epoch, {losses[-1]:.2f} after {len(losses)}")
    net.save(args.out)
    print(f"Saved {args.out}. Train it on annotated images now: keras-ssd train --help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
