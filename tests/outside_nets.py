"""Small Caffe nets whose priors are computed outside them, in the manner of known ones, and those priors as loops."""

import math

import numpy as np

INPUT = 'name: "outside"\ninput: "data" input_dim: 1 input_dim: 3 input_dim: {0} input_dim: {1}\n'


def conv(name, bottom, filters, stride=1, kernel=3):
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{ '
        f"num_output: {filters} kernel_size: {kernel} pad: {kernel // 2} stride: {stride} }} }}\n"
    )


def layer(name, kind, bottoms, settings=""):
    bottoms = " ".join(f'bottom: "{b}"' for b in ([bottoms] if isinstance(bottoms, str) else bottoms))
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{name}" {settings} }}\n'


def head(source, kind, boxes, width):
    """A head, permuted and reshaped to rows of a prior each."""
    name = f"{source}_{kind}"
    text = conv(name, source, boxes * width)
    text += layer(f"{name}_perm", "Permute", name, "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    return text + layer(
        f"{name}_rows", "Reshape", f"{name}_perm", f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {width} }} }}"
    )


def joined(name, sources, kind):
    return layer(name, "Concat", [f"{source}_{kind}_rows" for source in sources], "concat_param { axis: 1 }")


ULTRA_LIGHT_BOXES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))


def ultra_light(size=(48, 64), strides=(8, 16), softmax=True):
    """Linzaer's face detector in small: blobs `boxes` and `scores` (background, face), no PriorBox."""
    text, before, sources = INPUT.format(*size), "data", []
    text += conv("stem", "data", 6, 2) + conv("stem2", "stem", 6, 2)
    before = "stem2"
    for stride, boxes in zip(strides, ULTRA_LIGHT_BOXES, strict=False):
        source = f"s{stride}"
        text += conv(source, before, 8, 2)
        text += head(source, "reg", len(boxes), 4) + head(source, "cls", len(boxes), 2)
        before = source
        sources.append(source)
    text += joined("boxes", sources, "reg")
    raw = "raw_scores" if softmax else "scores"
    text += joined(raw, sources, "cls")
    return text + (layer("scores", "Softmax", raw, "softmax_param { axis: 2 }") if softmax else "")


def ultra_light_priors(size=(48, 64), strides=(8, 16)):
    """Its priors, (cx, cy, w, h), each clamped to 0..1, as its program makes them."""
    height, width = size
    priors = []
    for stride, boxes in zip(strides, ULTRA_LIGHT_BOXES, strict=False):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                for box in boxes:
                    prior = (
                        (column + 0.5) / (width / stride),
                        (row + 0.5) / (height / stride),
                        box / width,
                        box / height,
                    )
                    priors.append([min(max(value, 0), 1) for value in prior])
    return np.array(priors, np.float32)


def retina_face(size=(48, 64), strides=(8, 16), boxes=2):
    """RetinaFace's outputs in small: a pair of maps per stride, `cls8` class by class (background, face)."""
    text, before = INPUT.format(*size) + conv("stem", "data", 6, 2) + conv("stem2", "stem", 6, 2), "stem2"
    for stride in strides:
        text += conv(f"s{stride}", before, 8, 2)
        text += conv(f"loc{stride}", f"s{stride}", 4 * boxes) + conv(f"raw{stride}", f"s{stride}", 2 * boxes)
        text += layer(f"split{stride}", "Reshape", f"raw{stride}", shaped(0, 2, -1, 0))
        text += layer(f"soft{stride}", "Softmax", f"split{stride}", "softmax_param { axis: 1 }")
        text += layer(f"cls{stride}", "Reshape", f"soft{stride}", shaped(0, 2 * boxes, -1, 0))
        before = f"s{stride}"
    return text


def shaped(*dims):
    return f"reshape_param {{ shape {{ {' '.join(f'dim: {dim}' for dim in dims)} }} }}"


MASK_SIZES = ((0.2, 0.28), (0.4, 0.56))
MASK_RATIOS = (1, 0.62, 0.42)


def mask_detector(size=(33, 33)):
    """AIZOO's mask detector in small: no background, sigmoid scores of two classes, four priors a cell."""
    text = INPUT.format(*size) + conv("stem", "data", 6, 2) + conv("m0", "stem", 8, 2) + conv("m1", "m0", 8, 2)
    for source in ("m0", "m1"):
        text += head(source, "loc", 4, 4) + head(source, "cls", 4, 2)
        text += layer(f"{source}_act", "Sigmoid", f"{source}_cls_rows")
    text += joined("loc_branch_concat", ("m0", "m1"), "loc")
    return text + layer("cls_branch_concat", "Concat", ["m0_act", "m1_act"], "concat_param { axis: 1 }")


def mask_priors(grids=((9, 9), (5, 5))):
    """Its priors as corners: both sizes with ratio 1, then the first size with the other ratios."""
    priors = []
    for (height, width), sizes in zip(grids, MASK_SIZES, strict=True):
        for row in range(height):
            for column in range(width):
                x, y = (column + 0.5) / width, (row + 0.5) / height
                shapes = [(s, s) for s in sizes]
                shapes += [(sizes[0] * math.sqrt(r), sizes[0] / math.sqrt(r)) for r in MASK_RATIOS[1:]]
                priors += [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for w, h in shapes]
    return np.array(priors, np.float32)
