"""Readers of foreign weight files: what they return."""

from dataclasses import astuple

import h5py
import numpy as np
import pytest
from foreign_files import (
    random_arrays,
    ssd_keras_config,
    ssd_shapes,
    thinned,
    write_chainercv_npz,
    write_keras_h5,
)

from keras_ssd import formats

SMALL = thinned(ssd_shapes("ssd300", 2))
WEIGHTLESS = ("input_1", "identity_layer", "input_mean_normalization", "input_channel_swap", "pool1")


@pytest.fixture
def small():
    return random_arrays(SMALL)


def assert_same(arrays, expected):
    assert set(arrays.layers) == set(expected)
    for layer, weights in expected.items():
        assert set(arrays[layer]) == set(weights)
        for weight, array in weights.items():
            assert arrays[layer][weight].dtype == np.float32
            np.testing.assert_array_equal(arrays[layer][weight], array, err_msg=f"{layer}/{weight}")


def test_roundtrip_keras_h5_weights_only(tmp_path, small):
    write_keras_h5(tmp_path / "a.h5", small)
    arrays = formats.read(tmp_path / "a.h5")
    assert_same(arrays, small)
    assert (arrays.format, arrays.first_layer_channels, arrays.config) == ("keras_h5", "bgr", None)
    assert arrays.parameters == sum(a.size for w in small.values() for a in w.values())


@pytest.mark.parametrize(
    ("weightless", "config", "suffix", "channels"),
    [
        ((), None, ":0", "bgr"),  # only layers with weights: the convention of the published files
        (WEIGHTLESS, None, ":0", "bgr"),
        ([n for n in WEIGHTLESS if "swap" not in n], None, ":0", "rgb"),
        ((), ssd_keras_config(swap=True), ":0", "bgr"),
        ((), ssd_keras_config(swap=False), ":0", "rgb"),
        ((), None, "", "rgb"),
    ],
)
def test_values_colour_order_of_the_first_layer(tmp_path, small, weightless, config, suffix, channels):
    write_keras_h5(tmp_path / "a.h5", small, weightless=weightless, config=config, suffix=suffix)
    assert formats.read(tmp_path / "a.h5").first_layer_channels == channels


@pytest.mark.parametrize("name", ["conv4_3_norm_gamma:0", "gamma:0", "conv4_3_norm/Variable:0", "scale"])
def test_values_norm_vector_under_any_name(tmp_path, name):
    vector = np.arange(512, dtype=np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"conv4_3_norm/{name}"] = vector
        file["conv1_1/conv1_1_2/kernel:0"] = np.ones((3, 3, 3, 4), np.float16)
        file["conv1_1/conv1_1_2/bias:0"] = np.ones(4, np.float64)
    arrays = formats.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(arrays["conv4_3_norm"]["gamma"], vector)
    assert {w: a.dtype for w, a in arrays["conv1_1"].items()} == {"kernel": np.float32, "bias": np.float32}


def test_values_nested_model_is_opened(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for layer in ("conv1", "conv2"):
            file[f"model_1/{layer}/kernel:0"] = np.ones((3, 3, 3, 4), np.float32)
    assert set(formats.read(tmp_path / "a.h5").layers) == {"conv1", "conv2"}


@pytest.mark.parametrize("recorded", [None, {"this_steps": 8, "this_offsets": 0.5}, {"this_steps": (8, 16)}])
def test_values_model_config(tmp_path, small, recorded):
    config = ssd_keras_config((300, 480), recorded)
    write_keras_h5(tmp_path / "a.h5", small, config=config, weightless=WEIGHTLESS)
    found = formats.read(tmp_path / "a.h5")
    assert_same(found, small)
    assert found.config.input_size == (300, 480)
    assert found.config.lambda_layers == ("identity_layer", "input_mean_normalization", "input_channel_swap")
    first, second = found.config.anchor_boxes
    steps = {None: None, 8: 8.0, (8, 16): (8.0, 16.0)}[(recorded or {}).get("this_steps")]
    offsets = (recorded or {}).get("this_offsets")
    assert astuple(first) == (
        *("conv4_3_norm_mbox_priorbox", "conv4_3_norm_mbox_loc", (300, 480), 0.1, 0.2, (1.0, 2.0, 0.5), True),
        *((0.1, 0.1, 0.2, 0.2), steps, offsets, False, "centroids", True),
    )
    assert second.aspect_ratios == (1.0, 2.0, 0.5, 3.0, 1 / 3)


def test_reference_ssd7_traffic_is_read_whole(shared):
    path = shared("weights", "ssd7_traffic", "ssd7_traffic.h5")
    arrays = formats.read(path)
    with h5py.File(path) as file:
        counted = []
        group = file["model_weights"]
        group.visititems(lambda _, o: counted.append(o.size) if isinstance(o, h5py.Dataset) else None)
        variance = group["bn3/bn3/moving_variance:0"][()]
    np.testing.assert_array_equal(arrays["bn3"]["moving_variance"], variance)
    assert arrays.parameters == sum(counted) == 213_904
    assert len(list(arrays)) == len(counted) == 58
    assert arrays.first_layer_channels == "rgb"
    assert arrays.config.input_size == (300, 480)
    scales = [(a.this_scale, a.next_scale) for a in arrays.config.anchor_boxes]
    assert scales == [(0.08, 0.16), (0.16, 0.32), (0.32, 0.64), (0.64, 0.96)]
    assert {(a.steps, a.offsets, a.aspect_ratios) for a in arrays.config.anchor_boxes} == {
        (None, None, (0.5, 1.0, 2.0))
    }


@pytest.mark.parametrize("kind", ["ssd300", "ssd512", "vgg16"])
def test_roundtrip_chainercv(tmp_path, kind):
    expected = random_arrays(thinned(ssd_shapes(kind, 3)))
    write_chainercv_npz(tmp_path / "a.npz", expected)
    arrays = formats.read(tmp_path / "a.npz")
    assert_same(arrays, expected)
    assert (arrays.format, arrays.first_layer_channels) == ("chainercv_npz", "rgb")


def test_values_chainercv_orders(tmp_path):
    """Hand-written: offsets of two boxes as chainercv stores them, a kernel that counts its entries."""
    kernel = np.arange(2 * 3 * 1 * 2, dtype=np.float32).reshape(2, 3, 1, 2)  # (out, in, kh, kw)
    members = {
        "multibox/loc/0/b": np.array([1, 0, 3, 2, 5, 4, 7, 6], np.float32),  # cy, cx, h, w
        "multibox/conf/6/b": np.array([0, 1, 2], np.float32),
        "extractor/conv8_1/W": kernel,
        "extractor/conv12_2/b": np.ones(2, np.float32),
        "extractor/conv6/b": np.ones(3, np.float32),
        "extractor/norm4/scale": np.full(2, 20, np.float32),
    }
    np.savez(tmp_path / "a.npz", **members)
    arrays = formats.read(tmp_path / "a.npz")
    assert arrays["conv4_3_norm_mbox_loc"]["bias"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]  # cx, cy, w, h
    assert arrays["conv10_2_mbox_conf"]["bias"].tolist() == [0, 1, 2]
    assert arrays["conv6_1"]["kernel"].shape == (1, 2, 3, 2)
    assert arrays["conv6_1"]["kernel"][0, 1, 2, 1] == kernel[1, 2, 0, 1]
    assert set(arrays.layers) == {
        "conv4_3_norm_mbox_loc",
        "conv10_2_mbox_conf",
        "conv6_1",
        "conv10_2",
        "fc6",
        "conv4_3_norm",
    }
