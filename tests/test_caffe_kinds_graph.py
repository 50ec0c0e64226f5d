"""What the builders of Caffe layers leave in the graph, and what they refuse."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_ssd.caffe.importer import from_caffe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
caffe_nets = pytest.importorskip("random_caffe_nets", reason="the benchmarks are not here")

SIZE = (5, 6)
IMAGE = np.random.default_rng(0).uniform(0, 255, (*SIZE, 3)).astype(np.float32)


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def layers_of(net, **options):
    description, weights = net.parsed()
    return [type(layer).__name__ for layer in from_caffe(description, weights, outputs=[net.top], **options).layers]


def test_values_no_needless_transposition():
    """Heads are permuted to where Keras has them already; pooled features are flat already."""
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.channels(4)
    net.add("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    net.add("Flatten")
    assert layers_of(net)[-2:] == ["Conv2D", "Reshape"]
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.add("Pooling", "pooling_param { pool: AVE global_pooling: true }")
    net.add("InnerProduct", "inner_product_param { num_output: 2 }", [random(2, 3), random(2)])
    net.add("Softmax")
    assert layers_of(net)[-4:] == ["GlobalAveragePooling2D", "Reshape", "Dense", "Softmax"]


def test_values_the_image_is_not_turned_before_a_convolution():
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.add("BatchNorm", "", [random(3), random(3) ** 2, [1]])
    net.add("Scale", "scale_param { bias_term: true }", [random(3), random(3, seed=2)])
    net.add("PReLU", "", [random(3)])
    net.add("Pooling", "pooling_param { pool: AVE kernel_size: 3 pad: 1 }")
    net.channels(2)
    kinds = ["BatchNormalization", "PReLU", "PaddedAveragePooling2D", "Conv2D"]
    assert layers_of(net)[-4:] == kinds
    net.add("Split", tops=["a", "b"])
    assert "ReverseChannels" not in layers_of(net)
    turned = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    turned.add("Softmax", "softmax_param { axis: 2 }")
    turned.add("Slice", "slice_param { slice_point: 1 }", tops=["blue", "rest"])
    np.testing.assert_allclose(caffe_nets.in_keras(turned, IMAGE).argmax(2), IMAGE[None, :, :, 2].argmax(1)[:, None])
    assert "ReverseChannels" in layers_of(turned)


REJECTED = [
    ("Convolution", "convolution_param { num_output: 4 }", "kernel_size=None"),
    ("Convolution", "convolution_param { kernel_size: 3 }", "num_output=0"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 stride: 0 }", "stride=(0, 0)"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 group: 2 }", "group=2, 3 channels, num_output=4"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 9 pad: 1 }", "too small for the kernel (9, 9)"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 axis: 2 }", "height and width"),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 2 pad: 9 }", "leaves nothing"),
    ("InnerProduct", "", "num_output"),
    ("InnerProduct", "inner_product_param { num_output: 3 axis: 0 }", "is the batch"),
    ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "pool=STOCHASTIC"),
    ("Pooling", "", "kernel_size=None"),
    ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "a pad below the kernel_size"),
    ("Pooling", "pooling_param { kernel_size: 9 stride: 3 }", "too small for pooling"),
    ("Scale", "scale_param { axis: 2 num_axes: 3 }", "beyond its input"),
    ("Softmax", "softmax_param { axis: 4 }", "axis 4 does not exist"),
    ("Eltwise", "", "two or more inputs"),
    ("Tile", "", "tiles=None"),
    ("Clip", "clip_param { min: 2 max: 1 }", "min=2.0, max=1.0"),
    ("Log", "log_param { base: 1 }", "positive base"),
    ("Permute", "permute_param { order: 1 order: 0 }", "batch first"),
    ("Permute", "permute_param { order: 0 order: 2 order: 2 }", "different axes"),
    ("Flatten", "flatten_param { axis: 3 end_axis: 1 }", "end_axis must not be before axis"),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 7 } }", "each image must keep its values"),
    ("Reshape", "reshape_param { shape { dim: 3 dim: 1 dim: 5 dim: 6 } }", "the first axis must remain the batch"),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: -1 } }", "the first axis must remain the batch"),
    ("Interp", "", "both height and width"),
    ("Interp", "interp_param { height: 3 width: 3 pad_beg: 1 }", "must not be positive"),
    ("Upsample", "upsample_param { scale: 0 }", "at least 1"),
    ("ShuffleChannel", "shuffle_channel_param { group: 2 }", "group=2, 3 channels"),
]


@pytest.mark.parametrize(("kind", "params", "message"), REJECTED)
def test_rejects_settings_that_make_no_sense(kind, params, message):
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    net.add(kind, params)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        from_caffe(net.parsed()[0], outputs=[net.top], mean=0)
    assert str(error.value).startswith(f"Layer '{kind.lower()}1'")


def test_rejects_blobs_that_do_not_fit_each_other():
    net = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
    more = net.channels(4)
    for kind, params, bottoms, message in (
        ("Eltwise", "", ["data", more], "one shape"),
        ("Eltwise", "eltwise_param { coeff: 1 }", [more, more], "one for each input"),
        ("Concat", "concat_param { axis: 2 }", ["data", more], "differ on other axes than 2"),
        ("Crop", "", ["data", more, more], "positional"),
        ("Crop", "crop_param { axis: 1 }", ["data", more], "ends at 3, and the piece at 4"),
        ("Scale", "scale_param { axis: 1 }", ["data", more], "axis must be 0"),
        ("Scale", "scale_param { axis: 0 }", ["data", more], "does not fit an input"),
        ("Axpy", "", [more, "data", more], "one shape"),
        ("Slice", "slice_param { slice_point: 5 }", [more], "slice_point=[5]"),
    ):
        broken = caffe_nets.SmallNet(np.random.default_rng(3), 3, SIZE)
        broken.channels(4)
        broken.add(kind, params, bottoms=bottoms, tops=["a", "b"] if kind == "Slice" else None)
        with pytest.raises(ValueError, match=re.escape(message)):
            from_caffe(broken.parsed()[0], outputs=[broken.top], mean=0)
