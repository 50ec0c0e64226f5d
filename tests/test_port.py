"""Strict porting: all or nothing, one report; and files of every original into models of their shapes."""

from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
from foreign_files import random_arrays, ssd_shapes, thinned, write_chainercv_npz, write_keras_h5

from keras_ssd import formats
from keras_ssd.formats import NamedArrays
from keras_ssd.layers import L2Normalization
from keras_ssd.zoo.port import PortError, arrays_of, port
from keras_ssd.zoo.read import count_classes, identify, load_backbone_into, load_weights_into

# kind, classes: the fourteen originals have these shapes (five of VOC for each size, COCO, ILSVRC).
ORIGINALS = [(kind, classes) for kind in ("ssd300", "ssd512") for classes in (20, 80, 200)]


def model_of(shapes, name="model"):
    """A model with layers of these names and shapes, each on an input of its own; no more is ported."""
    inputs, outputs = [], []
    for layer, weights in shapes.items():
        if "kernel" in weights:
            size, _, into, out = weights["kernel"]
            made = keras.layers.Conv2D(out, size, padding="same", name=layer)
        elif "moving_mean" in weights:
            (into,) = weights["gamma"]
            made = keras.layers.BatchNormalization(name=layer)
        else:
            (into,) = weights["gamma"]
            made = L2Normalization(name=layer)
        inputs.append(keras.Input((4, 4, into)))
        outputs.append(made(inputs[-1]))
    return keras.Model(inputs, outputs, name=name)


def values(model):
    return {f"{layer}/{weight}": array for layer, weight, array in arrays_of(model)}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


@pytest.fixture
def shapes():
    return thinned(ssd_shapes("ssd300", 2))


@pytest.mark.parametrize(("kind", "classes"), ORIGINALS)
def test_roundtrip_every_original_in_the_layout_of_ssd_keras(tmp_path, kind, classes):
    shapes = ssd_shapes(kind, classes)
    write_keras_h5(tmp_path / "a.h5", shapes)  # constants: 215 MB of weights in little room
    arrays = formats.read(tmp_path / "a.h5")
    # FACTS: parameters of the originals, background counted as a class.
    expected = {
        ("ssd300", 20): 26_285_486,
        ("ssd300", 80): 34_305_206,
        ("ssd300", 200): 50_344_646,
        ("ssd512", 20): 27_188_676,
        ("ssd512", 80): 36_038_196,
        ("ssd512", 200): 53_737_236,
    }[kind, classes]
    assert arrays.parameters == expected
    assert (identify(arrays), count_classes(arrays)) == (kind, classes)


@pytest.mark.parametrize(("kind", "classes"), ORIGINALS)
@pytest.mark.parametrize("layout", ["keras_h5", "chainercv_npz"])
def test_roundtrip_into_a_model(tmp_path, kind, classes, layout):
    shapes = thinned(ssd_shapes(kind, classes), most=4)
    arrays = random_arrays(shapes)
    write = {"keras_h5": write_keras_h5, "chainercv_npz": write_chainercv_npz}[layout]
    path = tmp_path / ("a.h5" if layout == "keras_h5" else "a.npz")
    write(path, arrays)
    model = model_of(shapes)
    report = load_weights_into(model, path)
    assert report.channels_reversed == ("conv1_1" if layout == "keras_h5" else None)
    assert set(report.layers) == set(shapes)
    found = arrays_of(model)
    for layer, weights in arrays.items():
        for weight, array in weights.items():
            if (layer, weight) == ("conv1_1", "kernel") and layout == "keras_h5":
                array = array[:, :, ::-1]  # BGR -> RGB
            np.testing.assert_array_equal(found[layer][weight], array, err_msg=f"{layer}/{weight}")


def test_values_first_kernel_turned_once(shapes):
    arrays = random_arrays(shapes)
    model = model_of(shapes)
    for channels in ("bgr", "rgb", "bgr"):
        port(model, NamedArrays(arrays, "test", first_layer_channels=channels))
    kernel = arrays_of(model)["conv1_1"]["kernel"]
    np.testing.assert_array_equal(kernel[:, :, 0], arrays["conv1_1"]["kernel"][:, :, 2])
    np.testing.assert_array_equal(kernel[:, :, 1], arrays["conv1_1"]["kernel"][:, :, 1])


def test_values_report_names_what_happened(shapes):
    arrays = NamedArrays(random_arrays(shapes), "test", first_layer_channels="bgr")
    report = port(model_of(shapes), arrays)
    assert report.parameters == arrays.parameters
    text = str(report)
    assert f"{len(shapes)} layers with {arrays.parameters:,} values from <test>" in text
    assert "conv1_1 from BGR to RGB" in text


def test_rejects_everything_unfit_in_one_report(tmp_path, shapes):
    arrays = random_arrays(shapes)
    del arrays["fc7_mbox_loc"]
    arrays["conv11_1"] = {"kernel": np.ones((1, 1, 2, 2), np.float32)}
    arrays["conv2_1"]["kernel"] = np.ones((3, 3, 5, 7), np.float32)
    del arrays["conv3_1"]["bias"]
    write_keras_h5(tmp_path / "a.h5", arrays)
    model = model_of(shapes, "detector")
    before = values(model)
    with pytest.raises(PortError) as caught:
        load_weights_into(model, tmp_path / "a.h5")
    error = caught.value
    assert error.unused == ("conv11_1/kernel",)
    assert set(error.missing) == {"fc7_mbox_loc/kernel", "fc7_mbox_loc/bias", "conv3_1/bias"}
    assert error.misshaped == (("conv2_1/kernel", (3, 3, 5, 7), (3, 3, 8, 8)),)
    text = str(error)
    assert "a.h5 do not fit the model 'detector'; nothing was loaded" in text
    for part in (
        *error.unused,
        *error.missing,
        "conv2_1/kernel (3, 3, 5, 7) where the model has (3, 3, 8, 8)",
    ):
        assert part in text
    assert not changed(before, values(model))


@pytest.mark.parametrize("fault", ["shape", "missing", "surplus"])
def test_rejects_one_fault(shapes, fault):
    arrays = random_arrays(shapes)
    if fault == "shape":
        arrays["fc7_mbox_conf"] = {w: a[..., 1:] for w, a in arrays["fc7_mbox_conf"].items()}
    elif fault == "missing":
        del arrays["conv9_2"]
    else:
        arrays["conv9_3"] = arrays["conv9_2"]
    model = model_of(shapes)
    before = values(model)
    with pytest.raises(PortError) as caught:
        load_weights_into(model, NamedArrays(arrays, "test"), source_classes=["cat", "dog"], classes=["cat", "dog"])
    error = caught.value
    assert [bool(x) for x in (error.misshaped, error.missing, error.unused)] == [
        fault == kind for kind in ("shape", "missing", "surplus")
    ]
    assert not changed(before, values(model))


def test_rejects_weights_of_another_model(tmp_path, shapes):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dense_1/dense_1/kernel:0"] = np.ones((4, 2), np.float32)
    with pytest.raises(PortError, match="weights of another model"):
        load_weights_into(model_of(shapes), tmp_path / "a.h5")


def test_rejects_other_class_count_with_advice(shapes):
    arrays = NamedArrays(random_arrays(thinned(ssd_shapes("ssd300", 5))), "test")
    with pytest.raises(PortError, match=r"has 5 classes.*source_classes") as caught:
        load_weights_into(model_of(shapes), arrays)
    assert len(caught.value.misshaped) == 12
    with pytest.raises(ValueError, match=r"trained on 5 classes\. Received: 2"):
        load_weights_into(model_of(shapes), arrays, source_classes=["a", "b"], classes=["a", "b"])


def test_values_backbone_alone(tmp_path, shapes):
    arrays = random_arrays(thinned(ssd_shapes("vgg16", 0)))
    write_chainercv_npz(tmp_path / "a.npz", arrays, **{"fc8/W": np.ones((5, 4), np.float32), "fc8/b": np.ones(5)})
    model = model_of(shapes)
    before = values(model)
    report = load_backbone_into(model, tmp_path / "a.npz")
    assert report.ignored == ("fc8",)
    assert set(report.kept) == set(shapes) - set(arrays)
    assert changed(before, values(model)) == {f"{layer}/{w}" for layer in arrays for w in ("kernel", "bias")}
    assert "Left as they were: " in str(report)
    assert "fc8" in str(report)


def test_rejects_detector_as_backbone(shapes):
    with pytest.raises(PortError, match="not a backbone that detectors can start from"):
        load_backbone_into(model_of(shapes), NamedArrays(random_arrays(shapes), "test"))


def test_rejects_partial_arrays_unless_asked(shapes):
    arrays = NamedArrays(random_arrays(thinned(ssd_shapes("vgg16", 0))), "test")
    with pytest.raises(PortError, match="conv9_2_mbox_loc/bias"):
        port(model_of(shapes), arrays, keep=["conv[6-9]_?", "conv4_3_norm"])
    report = port(model_of(shapes), arrays, keep=["conv[6-9]_?", "conv4_3_norm", "*_mbox_*"])
    assert set(report.layers) == set(arrays.layers)
    with pytest.raises(TypeError, match="not one text"):
        port(model_of(shapes), arrays, keep="*")


def test_values_keep_does_not_hide_a_wrong_shape(shapes):
    arrays = random_arrays(shapes)
    arrays["conv9_2"]["bias"] = np.ones(3, np.float32)
    with pytest.raises(PortError, match=r"conv9_2/bias \(3,\)"):
        port(model_of(shapes), NamedArrays(arrays, "test"), keep=["*"], ignore=["*"])


def test_values_rename(shapes):
    arrays = random_arrays(shapes)
    arrays["stem"] = arrays.pop("conv1_1")
    model = model_of(shapes)
    given = NamedArrays(arrays, "test", first_layer_channels="bgr")
    assert port(model, given, rename={"stem": "conv1_1"}).channels_reversed == "conv1_1"
    kernel = arrays_of(model)["conv1_1"]["kernel"]
    np.testing.assert_array_equal(kernel, arrays["stem"]["kernel"][:, :, ::-1])
    with pytest.raises(PortError, match="nothing_such"):
        port(model, given, rename={"nothing_such": "conv1_1"})
    with pytest.raises(PortError, match="two layers the name 'fc6'"):
        port(model, given, rename={"stem": "conv1_1", "fc7": "fc6"})


def test_rejects_bgr_without_a_single_first_layer(shapes):
    arrays = random_arrays(shapes)
    del arrays["conv1_1"]
    with pytest.raises(PortError, match="exactly one kernel with 3 input channels"):
        port(model_of(shapes), NamedArrays(arrays, "test", first_layer_channels="bgr"))


def test_values_half_precision_file(tmp_path, shapes):
    arrays = random_arrays(shapes, dtype=np.float16)
    write_keras_h5(tmp_path / "a.h5", arrays)
    model = model_of(shapes)
    load_weights_into(model, tmp_path / "a.h5")
    found = arrays_of(model)["fc7"]["kernel"]
    np.testing.assert_array_equal(found, arrays["fc7"]["kernel"].astype(np.float32))


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_roundtrip_files_of_keras_3(tmp_path, shapes, ending):
    shapes = {**shapes, "bn1": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (8,))}
    arrays = random_arrays(shapes)
    model = model_of(shapes)
    port(model, NamedArrays(arrays, "test"))
    path = tmp_path / f"a{ending}"
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    found = formats.read(path)
    assert found.first_layer_channels == "rgb"
    other = model_of(shapes)
    report = load_weights_into(other, path)
    assert report.channels_reversed is None
    assert not changed(values(model), values(other))


def test_values_nested_models_are_entered(shapes):
    first, rest = dict(list(shapes.items())[:3]), dict(list(shapes.items())[3:])
    inner, outer = model_of(first, "inner"), model_of(rest, "outer")
    inputs = [keras.Input(x.shape[1:]) for x in inner.inputs]
    whole = keras.Model([*inputs, *outer.inputs], [*inner(inputs), *outer.outputs])
    report = port(whole, NamedArrays(random_arrays(shapes), "test"))
    assert set(report.layers) == set(shapes)


def test_reference_ssd7_traffic_fits_without_rest(shared):
    arrays = formats.read(shared("weights", "ssd7_traffic", "ssd7_traffic.h5"))
    assert (identify(arrays), count_classes(arrays)) == ("ssd7", 5)
    shapes = {layer: {w: a.shape for w, a in weights.items()} for layer, weights in arrays.layers.items()}
    model = model_of(shapes)
    report = port(model, arrays)
    assert report.parameters == 213_904
    assert report.channels_reversed is None
    np.testing.assert_array_equal(arrays_of(model)["bn7"]["moving_mean"], arrays["bn7"]["moving_mean"])


@pytest.mark.parametrize("kind", ["ssd300", "ssd512", "vgg16"])
def test_values_identify(kind):
    arrays = NamedArrays(random_arrays(thinned(ssd_shapes(kind, 3), 1)), "test")
    assert identify(arrays) == kind
    assert count_classes(arrays) == (None if kind == "vgg16" else 3)
    fewer = {layer: w for layer, w in arrays.layers.items() if layer != "fc7_mbox_conf" and layer != "fc6"}
    assert identify(replace(arrays, layers=fewer)) is None
