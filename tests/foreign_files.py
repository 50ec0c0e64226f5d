"""Writes weight files in the layouts of other projects, so that readers are tested without them."""

import json

import h5py
import numpy as np

# The trunk of VGG16 with fully convolutional fc6 and fc7: name -> (kernel size, in, out).
VGG16 = {
    "conv1_1": (3, 3, 64),
    "conv1_2": (3, 64, 64),
    "conv2_1": (3, 64, 128),
    "conv2_2": (3, 128, 128),
    "conv3_1": (3, 128, 256),
    "conv3_2": (3, 256, 256),
    "conv3_3": (3, 256, 256),
    "conv4_1": (3, 256, 512),
    "conv4_2": (3, 512, 512),
    "conv4_3": (3, 512, 512),
    "conv5_1": (3, 512, 512),
    "conv5_2": (3, 512, 512),
    "conv5_3": (3, 512, 512),
    "fc6": (3, 512, 1024),
    "fc7": (1, 1024, 1024),
}
EXTRAS = {
    "conv6_1": (1, 1024, 256),
    "conv6_2": (3, 256, 512),
    "conv7_1": (1, 512, 128),
    "conv7_2": (3, 128, 256),
    "conv8_1": (1, 256, 128),
    "conv8_2": (3, 128, 256),
    "conv9_1": (1, 256, 128),
    "conv9_2": (3, 128, 256),
}
TAIL_512 = {"conv10_1": (1, 256, 128), "conv10_2": (4, 128, 256)}

# Feature map -> (channels, boxes per cell).
HEADS = {
    "ssd300": {
        "conv4_3_norm": (512, 4),
        "fc7": (1024, 6),
        "conv6_2": (512, 6),
        "conv7_2": (256, 6),
        "conv8_2": (256, 4),
        "conv9_2": (256, 4),
    },
    "ssd512": {
        "conv4_3_norm": (512, 4),
        "fc7": (1024, 6),
        "conv6_2": (512, 6),
        "conv7_2": (256, 6),
        "conv8_2": (256, 6),
        "conv9_2": (256, 4),
        "conv10_2": (256, 4),
    },
}


def ssd_shapes(kind, classes):
    """{layer: {weight: shape}} of an original SSD in Keras layout.

    Args:
        kind: "ssd300", "ssd512" or "vgg16".
        classes: number of classes without background.
    """
    convolutions = dict(VGG16)
    if kind != "vgg16":
        convolutions |= EXTRAS | (TAIL_512 if kind == "ssd512" else {})
    shapes = {
        name: {"kernel": (size, size, into, out), "bias": (out,)} for name, (size, into, out) in convolutions.items()
    }
    if kind == "vgg16":
        return shapes
    shapes["conv4_3_norm"] = {"gamma": (512,)}
    for source, (channels, boxes) in HEADS[kind].items():
        for head, width in (("conf", boxes * (classes + 1)), ("loc", boxes * 4)):
            shapes[f"{source}_mbox_{head}"] = {"kernel": (3, 3, channels, width), "bias": (width,)}
    return shapes


def thinned(shapes, most=8):
    """The same layers with at most `most` channels inside; what heads put out stays as wide as it is."""

    def thin(name, weight, shape):
        if weight == "kernel":
            size, _, into, out = shape
            return size, size, min(into, most), out if "_mbox_" in name else min(out, most)
        return shape if "_mbox_" in name else (min(shape[0], most),)

    return {name: {w: thin(name, w, s) for w, s in weights.items()} for name, weights in shapes.items()}


def random_arrays(shapes, seed=0, dtype=np.float32):
    """{layer: {weight: array}} of random values for shapes."""
    rng = np.random.default_rng(seed)
    return {
        layer: {weight: rng.normal(0, 0.1, shape).astype(dtype) for weight, shape in weights.items()}
        for layer, weights in shapes.items()
    }


def write_keras_h5(path, arrays, *, config=None, weightless=(), suffix=":0"):
    """Writes the layout of Keras 2: weights only, or that of `model.save` if a configuration is given.

    Args:
        path: where to.
        arrays: {layer: {weight: array, or shape}}; a shape is stored as a constant that takes no room on
            disk.
        config: the model configuration as a dictionary, for the `model.save` layout.
        weightless: names of layers without weights, which Keras lists too.
        suffix: what follows a weight's name; Keras 3 writes nothing there.
    """
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            file.attrs["keras_version"] = "2.2.4"
            file.attrs["model_config"] = json.dumps(config)
            root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array([n.encode() for n in (*weightless, *arrays)])
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.2.4"
        for name in weightless:
            root.create_group(name).attrs["weight_names"] = np.zeros(0)
        for name, weights in arrays.items():
            group = root.create_group(name)
            # L2Normalization of ssd_keras names its variable after the layer once more.
            names = {
                w: f"{name}/{name}_gamma{suffix}" if w == "gamma" and "norm" in name else f"{name}/{w}{suffix}"
                for w in weights
            }
            group.attrs["weight_names"] = np.array([n.encode() for n in names.values()])
            for weight, value in weights.items():
                _write(group, names[weight], value)


def _write(group, name, value):
    if isinstance(value, tuple):
        chunks = tuple(min(side, 1024) for side in value)
        group.create_dataset(name, value, "f4", chunks=chunks, compression="gzip", fillvalue=0.25)
    else:
        group.create_dataset(name, data=value)


def ssd_keras_config(size_hw=(300, 300), recorded=None, swap=True):
    """A model configuration like that of ssd_keras's SSD, reduced to two anchor layers.

    Args:
        size_hw: input size.
        recorded: {"this_steps": ..., "this_offsets": ...} to record what old versions left out.
        swap: whether the Lambda that turns RGB into BGR is there.
    """

    def layer(name, kind, source=None, **config):
        inbound = [[[source, 0, 0, {}]]] if source else []
        return {
            "name": name,
            "class_name": kind,
            "config": {"name": name, **config},
            "inbound_nodes": inbound,
        }

    def anchors(source, this_scale, next_scale, ratios):
        return layer(
            f"{source}_mbox_priorbox",
            "AnchorBoxes",
            f"{source}_mbox_loc",
            img_height=size_hw[0],
            img_width=size_hw[1],
            this_scale=this_scale,
            next_scale=next_scale,
            aspect_ratios=ratios,
            two_boxes_for_ar1=True,
            clip_boxes=False,
            variances=[0.1, 0.1, 0.2, 0.2],
            coords="centroids",
            normalize_coords=True,
            **(recorded or {}),
        )

    layers = [
        layer("input_1", "InputLayer", batch_input_shape=[None, *size_hw, 3]),
        layer("identity_layer", "Lambda", "input_1", function=["not base64 !!", None, None]),
        layer("input_mean_normalization", "Lambda", "identity_layer", function=["not base64 !!", None, None]),
        *([layer("input_channel_swap", "Lambda", "input_mean_normalization")] if swap else []),
        layer("conv1_1", "Conv2D", "input_mean_normalization"),
        anchors("conv4_3_norm", 0.1, 0.2, [1.0, 2.0, 0.5]),
        anchors("fc7", 0.2, 0.37, [1.0, 2.0, 0.5, 3.0, 1 / 3]),
    ]
    return {"class_name": "Model", "config": {"name": "model_1", "layers": layers}}


def write_chainercv_npz(path, arrays, **extra):
    """Writes arrays of an SSD or VGG16 the way chainercv stores them, by its own rules of naming and order.

    The rules are written out here a second time, forwards, on purpose: a reader that undoes something else
    fails.

    Args:
        path: where to.
        arrays: {layer: {weight: array}} in Keras layout with Caffe's names, first convolution RGB.
        extra: more members.
    """
    names = {"fc6": "extractor/conv6", "fc7": "extractor/conv7", "conv4_3_norm": "extractor/norm4"}
    for block in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
        for i in (1, 2, 3):
            names[f"conv{block}_{i}"] = f"extractor/conv{block + 2 if block > 5 else block}_{i}"
    for i, source in enumerate(HEADS["ssd512"]):
        names[f"{source}_mbox_loc"] = f"multibox/loc/{i}"
        names[f"{source}_mbox_conf"] = f"multibox/conf/{i}"
    members = {}
    for layer, weights in arrays.items():
        for weight, array in weights.items():
            if weight == "kernel":
                array = np.transpose(array, (3, 2, 0, 1))  # (out, in, kh, kw)
            if layer.endswith("_loc"):
                yx = np.empty_like(array)
                for box in range(0, len(array), 4):
                    cx, cy, w, h = array[box : box + 4]
                    yx[box : box + 4] = np.stack([cy, cx, h, w])
                array = yx
            key = {"kernel": "W", "bias": "b", "gamma": "scale"}[weight]
            members[f"{names[layer]}/{key}"] = array
    np.savez(path, **members, **extra)
