"""How close the Keras models of small random Caffe nets come to OpenCV's, layer type by layer type.

    python benchmarks/caffe_fuzz.py --nets 400 --seed 0

Each net has one layer (or pair) of the type in question on top of a random beginning: images of odd and even size,
all settings that the type has, random weights. The image goes through `from_caffe` and through OpenCV's DNN module,
which must be a version before 5. The output is a table in Markdown: nets of each type, the largest value that occurred
and the largest difference.
"""

import argparse
import os
import time

import numpy as np
from random_caffe_nets import SmallNet, divisor, in_keras, in_opencv, window

# One function a type: appends the layer to the net


def convolution(net):
    net.channels(net.pick(1, 2, 4, 6))
    groups = divisor(net, net.shape[0])
    _convolve(net, "Convolution", groups, groups * net.number(1, 3), f"group: {groups}")


def depthwise(net):
    groups = net.shape[0]
    kind = net.pick("ConvolutionDepthwise", "Convolution")
    _convolve(net, kind, groups, groups, f"group: {groups}", dilation=False)


def deconvolution(net):
    groups = net.pick(1, net.shape[0])
    filters = groups * net.number(1, 2)
    _convolve(net, "Deconvolution", groups, filters, f"group: {groups}", dilation=False, transposed=True)


def _convolve(net, kind, groups, filters, words, dilation=True, transposed=False):
    numbers, window_words = window(net, dilation, 4 if transposed else 3)
    channels, bias = net.shape[0], net.pick(True, False)
    shape = (channels, filters // groups) if transposed else (filters, channels // groups)
    blobs = [net.weights(*shape, *numbers["kernel"])] + [net.weights(filters)] * bias
    words = f"num_output: {filters} bias_term: {str(bias).lower()} {words} {window_words}"
    net.add(kind, f"convolution_param {{ {words} }}", blobs)


def inner_product(net):
    filters, size, bias = net.number(1, 5), int(np.prod(net.shape)), net.pick(True, False)
    words = f"num_output: {filters} bias_term: {str(bias).lower()}"
    blobs = [net.weights(filters, size)] + [net.weights(filters)] * bias
    net.add("InnerProduct", f"inner_product_param {{ {words} }}", blobs)


def pooling(net, method):
    if net.pick(*[False] * 5, True):
        net.add("Pooling", f"pooling_param {{ pool: {method} global_pooling: true }}")
    else:
        net.add("Pooling", f"pooling_param {{ pool: {method} {window(net)[1]} }}")


def batch_norm(net):
    channels, factor = net.shape[0], net.pick(1.0, 0.5, 999.98)
    variance = np.abs(net.weights(channels)) + 0.2
    eps = net.pick("", "batch_norm_param { eps: 0.001 use_global_stats: true }")
    net.add("BatchNorm", eps, [net.weights(channels) * factor, variance * factor, [factor]])
    if net.pick(True, True, False):
        scale(net)


def scale(net):
    channels, bias = net.shape[0], net.pick(True, False)
    blobs = [net.weights(channels)] + [net.weights(channels)] * bias
    net.add("Scale", f"scale_param {{ bias_term: {str(bias).lower()} }}", blobs)


def prelu(net):
    shared = net.pick(True, False, False)
    blobs = [net.weights(1 if shared else net.shape[0])]
    net.add("PReLU", f"prelu_param {{ channel_shared: {str(shared).lower()} }}", blobs)


def normalize(net):
    shared, across = net.pick(("true", "true"), ("true", "false"), ("false", "false"))  # OpenCV refuses the fourth
    blobs = [net.weights(1 if shared == "true" else net.shape[0])]
    net.add("Normalize", f"norm_param {{ across_spatial: {across} channel_shared: {shared} }}", blobs)


def eltwise(net, operation):
    if operation == "PROD":  # products of large values would show float32 alone
        net.add("TanH")
    branches = [net.channels(net.shape[0], bottom) for bottom in [net.top] * net.number(2, 3)]
    words = f"operation: {operation}"
    if operation == "SUM" and net.pick(True, False):
        words += "".join(f" coeff: {net.rng.normal():.3f}" for _ in branches)
    net.add("Eltwise", f"eltwise_param {{ {words} }}", bottoms=branches)


def concat(net):
    x, axis = net.top, net.number(1, 3)
    y = net.channels(net.shape[0] + (axis == 1))
    net.add("Concat", f"concat_param {{ axis: {axis} }}", bottoms=[y, x, y])


def slice_and_join(net):
    net.channels(6)
    axis = net.number(1, 3)
    points = sorted(net.rng.choice(np.arange(1, net.shape[axis - 1]), 2, replace=False))
    words = "".join(f" slice_point: {point}" for point in points)
    if axis == 1 and net.pick(True, False):
        words = ""  # three equal pieces
    net.add("Slice", f"slice_param {{ axis: {axis}{words} }}", tops=["a", "b", "c"])
    net.add("Concat", f"concat_param {{ axis: {axis} }}", bottoms=["c", "a", "b"])


def split(net):
    net.add("TanH")
    net.add("Split", tops=["a", "b"])
    net.add("Eltwise", "eltwise_param { operation: PROD }", bottoms=["a", "b"])


def permute(net):
    order = net.pick((0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1))
    net.add("Permute", f"permute_param {{ {' '.join(f'order: {axis}' for axis in order)} }}")
    if net.pick(True, False):
        net.add("Flatten")


def flatten(net):
    net.add("Flatten", net.pick("", "flatten_param { axis: 2 }", "flatten_param { axis: 1 end_axis: 2 }"))


def reshape(net):
    net.channels(4)
    _, height, width = net.shape
    dims = net.pick((0, -1, 2), (0, 2, -1, width), (0, 0, -1), (1, 4, -1), (0, height, width, 4))
    net.add("Reshape", f"reshape_param {{ shape {{ {' '.join(f'dim: {d}' for d in dims)} }} }}")


def crop(net):
    x, (height, width) = net.top, net.shape[1:]
    smaller = net.add("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    offsets = height - (height + 1) // 2, width - (width + 1) // 2
    top, left = net.number(0, offsets[0]), net.number(0, offsets[1])
    net.add("Crop", f"crop_param {{ axis: 2 offset: {top} offset: {left} }}", bottoms=[x, smaller])


def exponential(net):
    net.add("TanH")
    net.add("Exp", net.pick("", "exp_param { base: 2 scale: 0.5 shift: 0.1 }"))


def softmax(net):
    net.channels(net.number(2, 5))
    net.add("Softmax", net.pick("", "softmax_param { axis: 2 }", "softmax_param { axis: -1 }"))


def interp(net):
    words = net.pick(
        f"height: {net.number(1, 20)} width: {net.number(1, 20)}",
        f"zoom_factor: {net.number(2, 3)}",
    )
    net.add("Interp", f"interp_param {{ {words} }}")


def shuffle_channel(net):
    net.channels(net.pick(4, 6, 12))
    net.add("ShuffleChannel", f"shuffle_channel_param {{ group: {divisor(net, net.shape[0])} }}")


def mean_variance(net):
    net.channels(net.number(2, 4))  # a map of nearly one value would show rounding alone
    net.add("MVN", net.pick("", "mvn_param { across_channels: true }", "mvn_param { normalize_variance: false }"))


def written(kind, *options):
    """A layer without weights, with one of some settings."""
    return lambda net: net.add(kind, net.pick(*options) if options else "")


KINDS = {
    "Convolution": convolution,
    "Convolution, depthwise": depthwise,
    "Deconvolution": deconvolution,
    "InnerProduct": inner_product,
    "Pooling MAX": lambda net: pooling(net, "MAX"),
    "Pooling AVE": lambda net: pooling(net, "AVE"),
    "BatchNorm + Scale": batch_norm,
    "Scale": scale,
    "Normalize": normalize,
    "LRN": written(
        "LRN",
        "lrn_param { local_size: 5 alpha: 0.4 beta: 0.75 }",
        "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 norm_region: WITHIN_CHANNEL }",
    ),
    "MVN": mean_variance,
    "ReLU": written("ReLU", "", "relu_param { negative_slope: 0.1 }"),
    "ReLU6": written("ReLU6"),
    "PReLU": prelu,
    "ELU": written("ELU", "", "elu_param { alpha: 0.5 }"),
    "Sigmoid": written("Sigmoid"),
    "TanH": written("TanH"),
    "BNLL": written("BNLL"),
    "Exp": exponential,
    "Swish": written("Swish"),
    "AbsVal": written("AbsVal"),
    "Power": written("Power", "power_param { scale: -0.5 shift: 2 }", "power_param { power: 2 scale: 0.3 shift: 1 }"),
    "Softmax": softmax,
    "Dropout": written("Dropout"),
    "Eltwise SUM": lambda net: eltwise(net, "SUM"),
    "Eltwise PROD": lambda net: eltwise(net, "PROD"),
    "Eltwise MAX": lambda net: eltwise(net, "MAX"),
    "Concat": concat,
    "Slice": slice_and_join,
    "Split": split,
    "Permute": permute,
    "Flatten": flatten,
    "Reshape": reshape,
    "Crop": crop,
    "Interp": interp,
    "ShuffleChannel": shuffle_channel,
}
# What OpenCV cannot judge; tests hold these to Caffe's formulas.
NOT_COMPARED = {
    "Axpy": "OpenCV computes a * y + x where Caffe has a * x + y",
    "Bias, Clip, Tile, Upsample, DepthwiseConvolution": "not read by OpenCV",
    "BatchNorm with use_global_stats: false": "OpenCV uses the image's own statistics, this package the stored ones",
    "Convolution, depthwise, 3x3 with dilation and a pad of 1": "wrong in OpenCV 4.14",
    "Deconvolution with dilation": "ignored by OpenCV",
    "InnerProduct with transpose": "ignored by OpenCV",
    "Interp with shrink_factor or pad": "ignored by OpenCV",
    "Log with a base, Swish with beta, LRN with k or without alpha, MVN with eps": "ignored or changed by OpenCV",
    "Normalize across_spatial with a scale for each channel": "refused by OpenCV",
    "Pooling with round_mode": "refused by OpenCV",
    "Pooling with a stride above the kernel": "OpenCV differs from Caffe in windows that start beyond the image",
    "Scale of other axes than the channels": "refused by OpenCV",
}
KEEP_SHAPE = ("Scale", "PReLU", "ReLU", "TanH", "BatchNorm + Scale")


def random_net(kind, seed):
    """A small net that ends in a layer of one of `KINDS`."""
    rng = np.random.default_rng([seed, *kind.encode()])
    net = SmallNet(rng, 3, tuple(int(side) for side in rng.integers(4, 15, 2)))
    if net.pick(True, True, False):
        net.channels(net.number(1, 6))
    for _ in range(net.number(0, 2)):
        KINDS[net.pick(*KEEP_SHAPE)](net)
    KINDS[kind](net)
    return net


def compare(kind, seed):
    """(largest value, largest difference) of one random net."""
    net = random_net(kind, seed)
    height, width = net.size_hw
    image = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    ours, theirs = in_keras(net, image), in_opencv(net, image)
    if ours.shape != theirs.shape:
        raise ValueError(f"{kind}, seed {seed}: {ours.shape} here, {theirs.shape} in OpenCV\n{net.text}")
    return float(np.abs(theirs).max()), float(np.abs(ours - theirs).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=360, help="how many nets in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this type")
    args = parser.parse_args()
    kinds, start = args.kind or list(KINDS), time.perf_counter()
    rounds = -(-args.nets // len(kinds))
    print("| layer | nets | largest value | largest difference |\n|---|---|---|---|")
    worst = 0.0
    for kind in kinds:
        found = [compare(kind, args.seed + index) for index in range(rounds)]
        value, difference = (max(column) for column in zip(*found, strict=True))
        worst = max(worst, difference)
        print(f"| {kind} | {rounds} | {value:.1f} | {difference:.1e} |", flush=True)
    for kind, reason in NOT_COMPARED.items() if not args.kind else ():
        print(f"| {kind} | - | - | {reason} |")
    seconds, backend = time.perf_counter() - start, os.environ.get("KERAS_BACKEND", "the default backend")
    print(f"\n{rounds * len(kinds)} nets on {backend} in {seconds:.0f} s; the largest difference is {worst:.1e}.")
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    raise SystemExit(main())
