"""Caffe nets for tests: weights drawn for a prototxt, the weights of the reference passes, and OpenCV's outputs."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from keras_ssd.caffe.files import parse_prototxt, read_prototxt, write_caffemodel, write_prototxt
from keras_ssd.caffe.importer.construction import Construction
from keras_ssd.caffe.importer.preparation import detecting_phase


def blob_shapes(net, **options):
    """{layer: {blob index: Caffe's shape}} of everything that a net learns."""
    outputs = None if detecting_phase(net)[1] is not None else [net.layers[-1].tops[0]]
    building = Construction(net, None, options.get("outputs") or outputs, options.get("layers"), True)
    building.start(None, {"mean": 0, "scale": 1, "channel_order": None})
    building.run()
    shapes = {}
    for placed in building.plan.placed:
        layer = placed.stored.layer or placed.layer
        found = shapes.setdefault(layer.name, {})
        found[placed.stored.index] = tuple(placed.stored.shape)
        if placed.stored.factor is not None:
            found[placed.stored.factor] = (1,)
    return shapes


def with_weights(net, draw, **options):
    """The net with blobs; `draw(layer, index, shape)` makes each."""
    shapes = blob_shapes(net, **options)
    layers = []
    for layer in net.layers:
        found = shapes.get(layer.name, {})
        blobs = [np.asarray(draw(layer, i, found[i]), np.float32).reshape(found[i]) for i in sorted(found)]
        layers.append(replace(layer, blobs=tuple(blobs)))
    return replace(net, layers=tuple(layers))


def random_weights(net, seed=0, **options):
    """The net with seeded weights that keep activations near one."""
    rng = np.random.default_rng(seed)

    def draw(layer, index, shape):
        if layer.type == "BatchNorm":
            return (rng.normal(0, 0.1, shape), rng.uniform(1, 3, shape), [2.0])[index]
        if layer.type in ("Scale", "Normalize", "PReLU") and index == 0:
            return rng.uniform(0.5, 1.5, shape)
        if index == 0 and len(shape) > 1:
            spread = 0.1 if "_mbox_" in layer.name else 1.0  # scores that are neither 0 nor 1, and so have an order
            return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) * spread
        return rng.normal(0, 0.05, shape)

    return with_weights(net, draw, **options)


def reference_weights(net):
    """The net with the recipe's weights of the reference passes."""
    generators = {}

    def draw(layer, index, shape):
        rng = generators.setdefault(layer.name, np.random.default_rng(zlib.crc32(layer.name.encode())))
        if layer.type == "Normalize":
            return (20 + rng.standard_normal(512) * 0.5).astype(np.float32)
        if index == 1:
            return rng.standard_normal(shape).astype(np.float32) * np.float32(0.05)
        count = np.prod(shape[1:])
        factor = np.sqrt(1 / count) * 0.5 if "_mbox_" in layer.name else np.sqrt(2 / count)
        if layer.name == "conv1_1":
            factor /= 128
        return rng.standard_normal(shape).astype(np.float32) * np.float32(factor)

    return with_weights(net, draw)


def written(net, folder, name="net"):
    """(prototxt, caffemodel) paths of a net that was written."""
    prototxt, caffemodel = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    write_prototxt(net, prototxt)
    write_caffemodel(net, caffemodel)
    return prototxt, caffemodel


def net_of(source):
    """A `CaffeNet` from a path or a prototxt's text."""
    return parse_prototxt(source) if isinstance(source, str) else read_prototxt(source)


def opencv_outputs(prototxt, caffemodel, blob, names):
    """What OpenCV's own reader of Caffe nets computes: {blob or layer name: array}.

    Args:
        blob: (1, C, H, W) float32, as the net wants it.
        names: layers whose outputs are wanted.
    """
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip(f"OpenCV {cv2.__version__} has no reader of Caffe nets; opencv-python-headless<5 has")
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.enableFusion(False)
    net.setInput(np.ascontiguousarray(blob, np.float32))
    return dict(zip(names, net.forward(list(names)), strict=True))
