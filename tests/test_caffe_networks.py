"""Whole small detectors in the manner of well-known ones, against OpenCV's reader of Caffe nets."""

import keras
import numpy as np
import pytest
from caffe_nets import net_of, opencv_outputs, random_weights, written

import keras_ssd
from keras_ssd.box_coder import Predictions

IMAGE = np.random.default_rng(2).integers(0, 256, (1, 65, 97, 3)).astype(np.float32)  # RGB


class Text:
    """A prototxt that is written layer by layer."""

    def __init__(self, header):
        self.text = header

    def layer(self, name, kind, bottom, top=None, settings=""):
        bottoms = " ".join(f'bottom: "{b}"' for b in ([bottom] if isinstance(bottom, str) else bottom))
        self.text += f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top or name}" {settings} }}\n'
        return top or name

    def conv(self, name, bottom, filters, settings="kernel_size: 3 pad: 1", relu=False):
        self.layer(name, "Convolution", bottom, settings=f"convolution_param {{ num_output: {filters} {settings} }}")
        return self.layer(f"{name}/relu", "ReLU", name, name) if relu else name

    def normed(self, name, bottom, top=None):
        top = top or bottom
        self.layer(f"{name}_bn", "BatchNorm", bottom, top)
        return self.layer(f"{name}_scale", "Scale", top, top, "scale_param { bias_term: true }")

    def head(self, source, boxes, classes, priors, settings="kernel_size: 3 pad: 1"):
        for kind, filters in (("loc", 4), ("conf", classes)):
            name = f"{source}_mbox_{kind}"
            self.conv(name, source, boxes * filters, settings)
            self.layer(f"{name}_perm", "Permute", name, settings="permute_param { order: [0, 2, 3, 1] }")
            self.layer(f"{name}_flat", "Flatten", f"{name}_perm")
        common = "variance: [0.1, 0.1, 0.2, 0.2] clip: false"  # where it is not said, OpenCV clips and Caffe does not
        self.layer(f"{source}_prior", "PriorBox", [source, "data"], settings=f"prior_box_param {{ {priors} {common} }}")

    def end(self, sources, classes, more="background_label_id: 0"):
        for kind, part in (("mbox_loc", "mbox_loc_flat"), ("mbox_conf", "mbox_conf_flat"), ("mbox_prior", "prior")):
            axis = 2 if part == "prior" else 1
            names = [f"{source}_{part}" for source in sources]
            self.layer(kind, "Concat", names, settings=f"concat_param {{ axis: {axis} }}")
        shape = f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }}"
        self.layer("rows", "Reshape", "mbox_conf", settings=shape)
        self.layer("soft", "Softmax", "rows", settings="softmax_param { axis: 2 }")
        self.layer("scores", "Flatten", "soft")
        self.layer(
            "detection_out",
            "DetectionOutput",
            ["mbox_loc", "scores", "mbox_prior"],
            settings=f"""detection_output_param {{ num_classes: {classes} share_location: true keep_top_k: 50 {more}
            code_type: CENTER_SIZE nms_param {{ nms_threshold: 0.45 top_k: 100 }} confidence_threshold: 0.3 }}""",
        )
        return self.text


def header(channels=3):
    return f'name: "net"\ninput: "data"\ninput_shape {{ dim: 1 dim: {channels} dim: 65 dim: 97 }} ## an image\n'


def residual():
    """Normalised input, a strided 7x7, residual blocks with normalisation in front, dilation, L2 normalisation."""
    t = Text(header())
    t.normed("data", "data", "data_bn")
    t.conv("conv1", "data_bn", 8, "kernel_size: 7 stride: 2 pad: 3")
    t.normed("conv1", "conv1")
    t.layer("conv1_relu", "ReLU", "conv1", "conv1")
    t.layer("pool1", "Pooling", "conv1", settings="pooling_param { kernel_size: 3 stride: 2 }")
    t.conv("c2", "pool1", 8, "kernel_size: 3 pad: 1 bias_term: false")
    t.layer("sum2", "Eltwise", ["c2", "pool1"])
    t.normed("n3", "sum2", "n3")
    t.layer("n3_relu", "ReLU", "n3", "n3")
    t.conv("c3", "n3", 12, "kernel_size: 3 stride: 2 pad: 1 bias_term: false")
    t.conv("expand3", "n3", 12, "kernel_size: 1 stride: 2 bias_term: false")
    t.layer("sum3", "Eltwise", ["c3", "expand3"])
    t.conv("c4", "sum3", 12, "kernel_size: 3 pad: 2 dilation: 2")
    t.normed("last", "sum3")  # in place, after another layer has read the blob
    t.layer("last_relu", "ReLU", "sum3", "fc7")
    t.layer("sum4", "Eltwise", ["c4", "fc7"], settings="eltwise_param { operation: SUM coeff: 1 coeff: -0.5 }")
    t.layer("norm", "Normalize", "n3", settings="norm_param { across_spatial: false channel_shared: false }")
    t.head("norm", 4, 2, "min_size: 10 max_size: 20 aspect_ratio: 2 step: 4")
    t.head("sum4", 6, 2, "min_size: 20 max_size: 40 aspect_ratio: 2 aspect_ratio: 3")
    return t.end(["norm", "sum4"], 2, "background_label_id: 0 clip: true")


def long_words():
    """Rectangular kernels and long ratios without flipping; a grey net with PReLU and ELU."""
    t = Text(header(1))
    t.conv("c1", "data", 6, "kernel_size: 3 stride: 2 pad: 1")
    t.layer("p1", "PReLU", "c1", "c1")
    t.conv("c2", "c1", 8, "kernel_h: 3 kernel_w: 5 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 2")
    t.layer("e2", "ELU", "c2", "c2")
    t.layer("pool", "Pooling", "c2", settings="pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }")
    wide = "kernel_h: 1 kernel_w: 5 pad_h: 0 pad_w: 2"
    ratios = "aspect_ratio: [2, 3, 5, 7, 10] flip: false"
    t.head("c2", 7, 2, f"min_size: 8 max_size: 16 {ratios}", wide)
    t.head("pool", 7, 2, f"min_size: 16 max_size: 32 {ratios} step_h: 4 step_w: 9", wide)
    return t.end(["c2", "pool"], 2)


def pyramid():
    """A path back up: deconvolution, cropping, products; depthwise convolutions, shuffled and sliced channels."""
    t = Text(header())
    t.conv("c1", "data", 8, "kernel_size: 3 stride: 4 pad: 1", relu=True)
    t.conv("dw", "c1", 8, "kernel_size: 3 pad: 1 group: 8")
    t.layer("six", "ReLU6", "dw", "dw")
    t.conv("g2", "dw", 8, "kernel_size: 3 stride: 2 pad: 1 group: 2", relu=True)
    t.layer("shuffle", "ShuffleChannel", "g2", settings="shuffle_channel_param { group: 2 }")
    t.text += """layer { name: "slice" type: "Slice" bottom: "shuffle" top: "left" top: "right"
        slice_param { axis: 1 slice_point: 3 } }\n"""
    t.layer("joined", "Concat", ["right", "left"])
    t.layer(
        "up", "Deconvolution", "joined", settings="convolution_param { num_output: 8 kernel_size: 4 stride: 2 pad: 1 }"
    )
    t.layer("cropped", "Crop", ["up", "c1"], settings="crop_param { axis: 2 offset: 0 }")
    t.layer("product", "Eltwise", ["cropped", "c1"], settings="eltwise_param { operation: PROD }")
    t.layer("squash", "TanH", "product")
    t.head("squash", 3, 4, "min_size: 8 aspect_ratio: 2 offset: 0.4")
    t.head("joined", 6, 4, "min_size: [16, 24] aspect_ratio: 2")
    return t.end(["squash", "joined"], 4, "background_label_id: 1")


OLD = {"Convolution": "CONVOLUTION", "Pooling": "POOLING", "Flatten": "FLATTEN", "Concat": "CONCAT", "ReLU": "RELU"}


def old_words(text):
    """The same in the records of Caffe before 2014, as far as they have words for it."""
    for new, old in OLD.items():
        text = text.replace(f'type: "{new}"', f"type: {old}")
    return text.replace("layer {", "layers {")


@pytest.mark.numerical
@pytest.mark.parametrize("make", [residual, long_words, pyramid])
def test_reference_whole_nets_equal_opencv(make, tmp_path):
    net = random_weights(net_of(make()), seed=4)
    prototxt, caffemodel = written(net, tmp_path)
    options = {"mean": 128, "scale": 1 / 64, "truncate_sizes": False}
    model = keras_ssd.from_caffe(prototxt, caffemodel, **options)
    grey = np.round(IMAGE @ np.float32([0.299, 0.587, 0.114]))[..., None]
    seen = grey if make is long_words else IMAGE[..., ::-1]
    blob = ((seen - 128) / 64).transpose(0, 3, 1, 2)
    found = opencv_outputs(prototxt, caffemodel, blob, ["mbox_loc", "mbox_conf", "detection_out"])
    predictions = keras.ops.convert_to_numpy(model(IMAGE))
    parts = Predictions.split(predictions)
    offsets = parts.offsets.reshape(1, -1)
    np.testing.assert_allclose(offsets, found["mbox_loc"], rtol=0, atol=1e-4)
    if make is not pyramid:  # whose background is moved to the front
        np.testing.assert_allclose(parts.logits.reshape(1, -1), found["mbox_conf"], rtol=0, atol=1e-4)
    [rows] = keras.ops.convert_to_numpy(keras_ssd.with_decoder(model)(IMAGE))
    rows = rows[rows[:, 0] >= 0]
    expected = found["detection_out"].reshape(-1, 7)
    expected = expected[expected[:, 2] > 0]
    assert 3 < len(rows) == len(expected)
    label = rows[:, 0] + (rows[:, 0] >= (1 if make is pyramid else 0))
    ours = np.column_stack([label, rows[:, 1:]])
    ours = ours[np.lexsort((ours[:, 2], -ours[:, 1].round(4), ours[:, 0]))]
    expected = expected[:, 1:]
    expected = expected[np.lexsort((expected[:, 2], -expected[:, 1].round(4), expected[:, 0]))]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3)


def test_values_old_records_are_the_same_net():
    text = long_words().replace('"PReLU"', '"ReLU"').replace('"ELU"', '"ReLU"')
    new, old = net_of(text), net_of(old_words(text))
    assert [(layer.name, layer.type) for layer in old.layers] == [(layer.name, layer.type) for layer in new.layers]
    weights = random_weights(new)
    one, other = (keras_ssd.from_caffe(net, weights, mean=128) for net in (new, old))
    np.testing.assert_array_equal(one.predict_on_batch(IMAGE), other.predict_on_batch(IMAGE))


@pytest.mark.parametrize("make", [residual, pyramid])
def test_values_no_needless_transposition(make):
    model = keras_ssd.from_caffe(net_of(make()), mean=0)
    assert not [layer.name for layer in model.layers if isinstance(layer, keras.layers.Permute)]


def test_roundtrip_of_an_imported_net_with_clipped_boxes(tmp_path):
    net = random_weights(net_of(residual()), seed=4)
    model = keras_ssd.from_caffe(net, net, mean=128, scale=1 / 64)
    report = keras_ssd.to_caffe(model, tmp_path / "again.prototxt", tmp_path / "again.caffemodel")
    again = keras_ssd.from_caffe(*report.files)
    assert again.decoding["clip_boxes"] == "before"
    np.testing.assert_array_equal(again.predict_on_batch(IMAGE), model.predict_on_batch(IMAGE))
