"""One limit for feature maps, in every way to a model: files, factories, and the shell."""

import re

import keras
import numpy as np
import pytest
from caffe_nets import net_of, random_weights
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.formats.caffe import format_prototxt, parse_prototxt
from keras_ssd.map_limits import MAX_MAP_BYTES


@pytest.mark.parametrize("pad", [4294967295, 100000])
def test_rejects_a_pad_that_asks_for_gigabytes(pad):
    text = format_prototxt(small_net())
    assert "pad: 1" in text
    net = parse_prototxt(text.replace("pad: 1", f"pad: {pad}", 1))
    with pytest.raises(ValueError, match=r"Layer 'a' \(Convolution\).*bytes an image.*map_limit"):
        keras_ssd.from_caffe(net, mean=0)


def test_rejects_a_net_for_huge_images():
    text = re.sub(r"dim: (24|32)\b", "dim: 20000", format_prototxt(small_net()))
    for net, options in ((parse_prototxt(text), {}), (small_net(), {"input_size": (20000, 20000)})):
        with pytest.raises(ValueError, match="An input of 20000x20000 would make a map"):
            keras_ssd.from_caffe(net, mean=0, **options)


@pytest.mark.parametrize("factory", ["ssd300", "ssd512", "ssd7", "ssd_small"])
def test_rejects_factories_with_huge_inputs(factory):
    with pytest.raises(ValueError, match=r"An input of 20000x20000 would make a map"):
        getattr(keras_ssd, factory)(classes=["a"], input_size=(20000, 20000))


def test_rejects_a_saved_model_beyond_the_limit_and_an_argument_raises_it(tmp_path):
    model = keras_ssd.ssd7(classes=["a"], input_size=(64, 64))
    model.save(tmp_path / "m.keras")
    with keras_ssd.map_limit(1000), pytest.raises(ValueError, match="at most 1,000 are built"):
        keras_ssd.load(tmp_path / "m.keras")
    assert keras_ssd.load(tmp_path / "m.keras").input_size == (64, 64)
    net = random_weights(net_of(format_prototxt(small_net())))
    with pytest.raises(ValueError, match="at most 1,000"):
        keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=1000)
    with pytest.raises(ValueError, match="`max_map_bytes` must be a whole number"):
        keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=0)
    large = keras_ssd.from_caffe(net, net, mean=0, max_map_bytes=4 * MAX_MAP_BYTES)
    assert keras.ops.convert_to_numpy(large(np.zeros((1, 24, 32, 3), np.float32))).shape == (1, 720, 16)
