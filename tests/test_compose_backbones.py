"""Known backbones: taps, the family's preprocessing, and that a detector on each trains, is saved and comes back."""

import importlib
from itertools import pairwise

import keras
import numpy as np
import pytest
from model_outputs import values

import keras_ssd
from keras_ssd.backbones import backbone_names, feature_maps, named
from keras_ssd.backbones.families import FAMILIES, known_name
from keras_ssd.backbones.preprocessing import MODES, preprocessed

# Small networks, one a family: module of keras.applications, layers that are tapped.
TAPS = {
    "vgg16": ("vgg16", "block4_conv3_norm", "block5_conv3_norm", "block5_pool"),
    "resnet50": ("resnet", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
    "resnet50_v2": ("resnet_v2", "conv3_block3_out_norm", "conv4_block5_out_norm", "post_relu"),
    "mobilenet": ("mobilenet", "conv_pw_11_relu", "conv_pw_13_relu"),
    "mobilenet_v2": ("mobilenet_v2", "block_13_expand_relu", "out_relu"),
    "mobilenet_v3_small": ("mobilenet_v3", "activation_11", "activation_17"),
    "efficientnet_b0": (
        "efficientnet",
        "block4a_expand_activation",
        "block6a_expand_activation",
        "top_activation",
    ),
    "efficientnet_v2_b0": (
        "efficientnet_v2",
        "block4a_expand_activation",
        "block6a_expand_activation",
        "top_activation",
    ),
    "densenet121": ("densenet", "pool3_conv_norm", "pool4_conv_norm", "relu"),
    "inception_v3": ("inception_v3", "mixed2", "mixed7", "mixed10"),
    "inception_resnet_v2": ("inception_resnet_v2", "block35_10_ac_norm", "block17_20_ac_norm", "conv_7b_ac"),
    "convnext_tiny": (
        "convnext",
        "convnext_tiny_downsampling_layernorm_1",
        "convnext_tiny_downsampling_layernorm_2",
        "layer_normalization",
    ),
    "xception": ("xception", "add_1", "add_10", "block14_sepconv2_act"),
    "nasnet_mobile": ("nasnet", "adjust_relu_1_5", "adjust_relu_1_9", None),
}
INSIDE = ("mobilenet_v3", "efficientnet", "efficientnet_v2", "convnext")  # these prepare their images themselves
NARROW = {"mobilenet": 0.25, "mobilenet_v2": 0.35, "mobilenet_v3_small": 0.75}
LARGE = ("densenet121", "inception_resnet_v2", "inception_v3", "nasnet_mobile")
SMALL_SIZES = {"inception_v3": (131, 161), "inception_resnet_v2": (131, 161)}


def image(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, *size, 3)).astype(np.float32)


def detector(name, size, **options):
    keras.utils.set_random_seed(0)
    return keras_ssd.ssd(name, classes=["cat", "dog"], input_size=size, width=NARROW.get(name), **options)


def test_values_every_family_that_is_named():
    found = set(backbone_names())
    expected = {f"resnet{n}{v}" for n in (50, 101, 152) for v in ("", "_v2")}
    expected |= {f"efficientnet_b{n}" for n in range(8)} | {f"efficientnet_v2_{n}" for n in ("b0", "b3", "s", "m", "l")}
    expected |= {f"convnext_{n}" for n in ("tiny", "small", "base", "large", "xlarge")} | set(TAPS)
    expected |= {"vgg19", "mobilenet_v3_large", "densenet169", "densenet201"}
    assert expected <= found
    for family in FAMILIES:
        assert all(hasattr(keras.applications, attribute) for attribute in family.networks.values())


@pytest.mark.parametrize("given", ["ResNet50V2", "resnet50_v2", "RESNET50-V2", "resnet 50 v2"])
def test_values_names_however_they_are_written(given):
    assert known_name(given) == "resnet50_v2"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in TAPS]
)
def test_values_taps_and_preprocessing(name):
    """The taps that are well known, whatever was built before; and Keras's own function for the images."""
    module, *taps = TAPS[name]
    keras.layers.Activation("relu"), keras.layers.Add()  # count up the names that Keras gives by number
    size = SMALL_SIZES.get(name, (96, 130))
    net = detector(name, size)
    assert all(a == b for a, b in zip(net.sources, taps, strict=False) if b is not None)
    grids = net.anchor_spec.grids
    assert grids[-1] == (1, 1)
    assert all(a >= b for before, after in pairwise(grids) for a, b in zip(before, after, strict=True))
    assert len({layer.name for layer in net.layers}) == len(net.layers)
    function = importlib.import_module(f"keras.applications.{module}").preprocess_input
    x = image(size)
    expected = function(np.array(x))
    assert (expected == x).all() == (module in INSIDE)  # then Keras's function does nothing
    if module not in INSIDE:
        last = "rgb_to_bgr" if any(layer.name == "rgb_to_bgr" for layer in net.layers) else "preprocessing"
        prepared = keras.Model(net.input, net.get_layer(last).output)(x)
        np.testing.assert_allclose(values(prepared), expected, rtol=1e-5, atol=1e-4)
    assert any(layer.name == "preprocessing" for layer in net.layers) == (module not in INSIDE)


@pytest.mark.parametrize(
    ("make", "mode"),
    [("ConvNeXtTiny", "torch"), ("EfficientNetV2B0", "torch"), ("MobileNetV3Small", "tf")],
)
def test_reference_preprocessing_that_a_network_was_built_without(make, mode):
    """What is put in front equals what Keras would have put inside."""
    build = getattr(keras.applications, make)
    options = {"include_top": False, "weights": None, "input_shape": (64, 64, 3)}
    whole, bare = build(**options), build(**options, include_preprocessing=False)
    first = next(i for i, layer in enumerate(whole.layers) if layer.weights and not hasattr(layer, "adapt"))
    inside = keras.Model(whole.input, whole.layers[first].input)
    x = image((64, 64))
    inputs = keras.Input((64, 64, 3))
    outside = keras.Model(inputs, preprocessed(inputs, mode))
    np.testing.assert_allclose(values(outside(x)), values(inside(x)), rtol=1e-4, atol=1e-4)
    net = keras_ssd.ssd(bare, classes=["cat"])
    assert net.layers[1].name == "preprocessing"
    assert type(net.layers[1]) is type(outside.layers[1])


def check_step_and_file(net, folder):
    """One step of training moves the backbone; the saved file gives equal outputs.

    TensorFlow and PyTorch are quickest operation by operation. JAX compiles each operation, so one program is quicker.
    """
    eager = keras.backend.backend() != "jax"
    run = (lambda model: values(model(x, training=False))) if eager else (lambda model: model.predict_on_batch(x))
    x = image(net.input_size)
    target = keras_ssd.TargetEncoder.from_model(net).encode([[0.1, 0.1, 0.5, 0.6], [0.2, 0.5, 0.9, 0.95]], [1, 0])
    kernels = [v for v in net.trainable_variables if v.name.endswith("kernel")]
    watched = [kernels[0], kernels[1]]
    before = [np.array(values(v)) for v in watched]
    net.compile(keras.optimizers.SGD(1e-3, clipnorm=10.0), loss=keras_ssd.SSDLoss(), run_eagerly=eager)
    assert np.isfinite(float(net.train_on_batch(x, target[None])))
    assert all((values(v) != old).any() for v, old in zip(watched, before, strict=True))
    net.save(folder / "net.keras")
    again = keras_ssd.load(folder / "net.keras")
    np.testing.assert_array_equal(run(again), run(net))
    assert (again.anchor_spec, again.sources, again.class_names) == (net.anchor_spec, net.sources, net.class_names)
    assert str(again.composition) == str(net.composition)


SWEPT = [name for name in TAPS if name not in ("inception_resnet_v2", "convnext_tiny", "vgg16")]


@pytest.mark.slow
@pytest.mark.parametrize(("index", "name"), list(enumerate(SWEPT)))
def test_roundtrip_after_a_step_of_training(index, name, tmp_path):
    """`benchmarks/backbones.py --all --check` does this for every network at 300x300, 512x384 and an odd size."""
    size = ((96, 128), (160, 96), (131, 161))[index % 3]
    head = ("plain", "separable", "shared")[index // 3 % 3]
    net = detector(name, SMALL_SIZES.get(name, size), head=head, fpn=index % 4 == 1)
    check_step_and_file(net, tmp_path)


@pytest.mark.numerical
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "mobilenet_v3_small", "resnet50"])
def test_roundtrip_on_every_backend(name, tmp_path):
    net = detector(name, (65, 98), head="separable", extras=1)
    check_step_and_file(net, tmp_path)


@pytest.mark.parametrize("size", [(300, 300), (512, 384), (257, 389)])
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_values_sizes(name, size):
    net = detector(name, size, head="separable")
    fine = net.anchor_spec.grids[0]
    assert fine == tuple(-(-side // 16) for side in size)
    assert (
        net.output.shape[1]
        == net.anchor_spec.num_anchors
        == sum(h * w * b for (h, w), b in zip(net.anchor_spec.grids, net.anchor_spec.boxes_per_cell, strict=True))
    )


def test_values_modes_are_refused_or_put_in_front():
    net = detector("mobilenet", (64, 64), preprocessing="none")
    assert net.layers[1].name == "conv1"
    net = detector("mobilenet", (64, 64), preprocessing="torch")
    assert isinstance(net.get_layer("preprocessing"), keras.layers.Normalization)
    with pytest.raises(ValueError, match="Unknown preprocessing 'torhc'.*Did you mean 'torch'.*'auto' takes"):
        detector("mobilenet", (64, 64), preprocessing="torhc")
    inputs = keras.Input((1, 1, 3))
    unit = keras.Model(inputs, preprocessed(inputs, "unit"))  # EfficientNetV2 S, M and L
    np.testing.assert_allclose(values(unit(np.asarray([[[[0.0, 128, 255]]]]))).ravel(), [-1, 0, 127 / 128])
    assert set(MODES) == {"caffe", "tf", "torch", "unit", "none"}


def test_values_widths():
    wide, narrow = named("mobilenet_v2", (96, 96)), named("mobilenet_v2", (96, 96), width=0.35)
    assert feature_maps(narrow)["block_13_expand_relu"].channels < feature_maps(wide)["block_13_expand_relu"].channels
    net = keras_ssd.ssd("mobilenet_v2", classes=["cat"], width=0.5, input_size=(96, 96))
    assert net.get_layer("extra1_2").filters == 128  # derived extras are as narrow as the backbone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet5"}, "Unknown backbone 'resnet5'. Did you mean 'resnet50'.*Or give a functional"),
        ({"backbone": "resnet50", "width": 0.5}, "`width` is for mobilenet, mobilenet_v2.*Received: width=0.5"),
        ({"backbone": "vgg16", "input_size": (300,)}, r"\(height, width\) in whole pixels"),
        ({"backbone": "xception", "input_size": (40, 60)}, "xception cannot be built for images of 40x60"),
        ({"backbone": "mobilenet_v2", "weights": "nowhere.h5"}, "weights"),
    ],
)
def test_rejects_names_widths_and_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_ssd.ssd(**arguments, classes=["cat"])
