"""Backbones of KerasHub, where it is installed: their levels as taps, at their own size and at others."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssd

keras_hub = pytest.importorskip("keras_hub")


def resnet(size):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 32, 64, 128],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(*size, 3),
    )


@pytest.mark.parametrize("size", [(96, 128), (None, None)])
@pytest.mark.parametrize("taps", [["P3", "P4", "P5"], None])
def test_roundtrip_levels_as_taps(size, taps, tmp_path):
    keras.utils.set_random_seed(0)
    input_size = None if size[0] else (96, 128)
    net = keras_ssd.ssd(resnet(size), taps, ["cat"], input_size=input_size, preprocessing="torch")
    assert net.anchor_spec.grids[:3] == ((12, 16), (6, 8), (3, 4))
    assert net.sources[:3] == tuple(f"stack{i}_block0_out" for i in (1, 2, 3))
    net.save(tmp_path / "net.keras")
    again = keras_ssd.load(tmp_path / "net.keras")
    x = np.random.default_rng(0).uniform(0, 255, (1, 96, 128, 3)).astype(np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), ops.convert_to_numpy(net(x)))


def test_rejects_levels_that_it_has_not():
    with pytest.raises(ValueError, match=r"Unknown layer.*'P7'.*Possible taps"):
        keras_ssd.ssd(resnet((96, 128)), ["P4", "P7"], ["cat"])
