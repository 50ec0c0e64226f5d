"""Caffe nets of models: preprocessing, decoders, and what is refused."""

import keras
import numpy as np
import pytest
from caffe_exports import close, images, in_opencv, run, write
from random_models import randomize

import keras_ssd
from keras_ssd import layers
from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.caffe.files import read_caffemodel, read_prototxt
from keras_ssd.caffe.layers.grayscale import Grayscale
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.layers.class_columns import ClassColumns


def plain(*stack, size=(8, 8, 3)):
    inputs = x = keras.Input(size)
    for layer in stack:
        x = layer(x)
    return randomize(keras.Model(inputs, x, name="plain"))


# --- the image


def types_of(report):
    return [layer.type for layer in read_prototxt(report.prototxt).layers]


def check_both(model, report, tolerance=1e-5):
    """The net gives what the model gives, in Keras and in OpenCV."""
    x = images(model)
    back = keras_ssd.from_caffe(*report.files, outputs=list(report.outputs), channel_order=_order(report))
    expected = run(model, x)
    given = x
    if report.channel_order == "grey" and x.shape[-1] == 1:
        given = np.repeat(x, 3, axis=-1)
    close(run(back, given), expected, tolerance)
    if report.channel_order == "grey" and x.shape[-1] == 3:
        x = run(Grayscale(), x)
    [found] = in_opencv(report, x, report.outputs)
    close(found.transpose(0, 2, 3, 1), expected, 1e-4)


def _order(report):
    return None if report.channel_order == "grey" else report.channel_order


def test_values_mean_and_scale_stand_outside_the_net(tmp_path):
    model = plain(keras.layers.Rescaling(1 / 64, [-2.0, -1.5, -1.0]), keras.layers.Conv2D(4, 3, padding="same"))
    report = write(model, tmp_path)
    assert (report.channel_order, report.mean, report.scale) == ("bgr", (64.0, 96.0, 128.0), 1 / 64)
    assert report.input_shape == (1, 3, 8, 8)
    assert "blobFromImage(image, 0.015625, (8, 8), (64, 96, 128))" in str(report)
    data = read_prototxt(report.prototxt).layers[0].settings("transform_param")
    assert (data["mean_value"], data["scale"]) == ((64.0, 96.0, 128.0), 1 / 64)
    assert types_of(report) == ["Input", "Convolution"]
    check_both(model, report)


def test_values_mean_and_scale_inside_the_net(tmp_path):
    model = plain(keras.layers.Rescaling(1 / 64, [-2.0, -1.5, -1.0]), keras.layers.Conv2D(4, 3, padding="same"))
    report = write(model, tmp_path, mean_inside=True)
    assert (report.mean, report.scale) == ((0.0, 0.0, 0.0), 1.0)
    assert types_of(report) == ["Input", "Scale", "Convolution"]
    check_both(model, report)


def test_values_a_factor_for_each_colour_goes_into_the_first_convolution(tmp_path):
    scale, offset = [1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8]
    model = plain(keras.layers.Rescaling(scale, offset), keras.layers.Conv2D(4, 3, padding="same"))
    report = write(model, tmp_path)
    np.testing.assert_allclose(report.mean, [1.8 * 57.4, 2.0 * 57.1, 2.1 * 58.4])
    assert report.scale == 1.0
    assert types_of(report) == ["Input", "Convolution"]
    assert "first convolution" in report.notes[0]
    check_both(model, report)


@pytest.mark.parametrize("first", [keras.layers.DepthwiseConv2D(3), keras.layers.MaxPooling2D(2)])
def test_values_colours_are_turned_by_a_convolution_of_their_own(first, tmp_path):
    model = plain(keras.layers.Rescaling([0.01, 0.02, 0.03]), first)
    report = write(model, tmp_path)
    assert types_of(report)[:2] == ["Input", "Convolution"]
    blob = read_caffemodel(report.caffemodel).layers[1].blobs[0]
    np.testing.assert_allclose(blob[:, :, 0, 0], [[0, 0, 0.01], [0, 0.02, 0], [0.03, 0, 0]])
    check_both(model, report)


def test_values_rgb_and_normalization(tmp_path):
    norm = keras.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[50.0**2] * 3)
    model = plain(norm, keras.layers.Rescaling(2.0), keras.layers.Conv2D(4, 3))
    report = write(model, tmp_path, channel_order="rgb")
    np.testing.assert_allclose(report.mean, [120, 110, 100], rtol=1e-6)
    assert report.scale == pytest.approx(0.04)
    assert "swapRB=True" in str(report)
    check_both(model, report)


@pytest.mark.parametrize("size", [(8, 8, 3), (8, 8, 1)])
def test_values_grey_images(size, tmp_path):
    grey = [Grayscale()] if size[-1] == 3 else []
    model = plain(*grey, keras.layers.Rescaling(0.01, -1.0), keras.layers.Conv2D(4, 3), size=size)
    report = write(model, tmp_path)
    assert (report.channel_order, report.input_shape, report.mean) == ("grey", (1, 1, 8, 8), (100.0,))
    check_both(model, report)


# --- where Keras, Caffe and OpenCV go their own ways


@pytest.mark.parametrize(
    ("size", "stack"),
    [
        ((7, 8), [keras.layers.AveragePooling2D(3, strides=2, padding="same")]),  # Caffe's mean takes padding in
        ((7, 8), [keras.layers.MaxPooling2D(2)]),  # Caffe has one window more
        ((7, 8), [keras.layers.MaxPooling2D(2, strides=1, padding="same")]),  # padding on one side
        ((7, 8), [keras.layers.MaxPooling2D(1, strides=3)]),  # Caffe has a window behind the map
        ((8, 8), [keras.layers.Conv2D(4, 3, strides=2, padding="same")]),
        ((8, 8), [keras.layers.ZeroPadding2D(((2, 0), (0, 1))), keras.layers.Conv2D(4, 2, dilation_rate=3)]),
        ((3, 3), [layers.Deconvolution2D(6, 2, 2, groups=3), keras.layers.BatchNormalization()]),  # merged by OpenCV
        ((4, 4), [keras.layers.Conv2D(4, 1), layers.ChannelAffine(axis=(1, 2))]),  # likewise
        ((1, 1), [keras.layers.DepthwiseConv2D(3, padding="same")]),  # OpenCV reads beyond the map
        ((3, 1), [keras.layers.DepthwiseConv2D(3, padding="same")]),
        ((4, 4), [layers.LocalResponseNormalization(3, 0.5, k=2.0)]),  # OpenCV takes k for 1
        ((4, 4), [layers.SliceAxis(-1, 1, 2)]),  # OpenCV gives a layer's first output
    ],
)
def test_roundtrip_where_readers_differ(size, stack, tmp_path):
    if keras.backend.backend() == "torch" and isinstance(stack[0], keras.layers.AveragePooling2D):
        pytest.skip("Keras on PyTorch averages the padding of 'same' otherwise than on the other backends")
    model = plain(keras.layers.Rescaling(1 / 64), *stack, size=(*size, 3))
    check_both(model, write(model, tmp_path))


# --- decoders


def tiny(scores_from=None, **options):
    """A detector of one level."""
    spec = AnchorSpec((16, 16), (AnchorLevel((4, 4), 4, ((6, 6), (9, 9))),))
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(keras.layers.Rescaling(1 / 64)(inputs))
    columns = 3 if scores_from is None else scores_from.num_columns
    confidence = keras.layers.Conv2D(2 * columns, 1, name="conf")(x)
    confidence = confidence if scores_from is None else scores_from(confidence)
    y = layers.AnchorBoxes(spec, name="predictions")([confidence], [keras.layers.Conv2D(8, 1, name="loc")(x)])
    return randomize(keras_ssd.SSD(inputs, y, name="tiny", **options))


def detection(report):
    return read_prototxt(report.prototxt).layers[-1].settings("detection_output_param")


def test_values_decoding_of_the_model_the_decoder_and_the_call(tmp_path):
    model = tiny(decoding={"scores": "sigmoid", "iou_threshold": 0.25, "top_k": None, "keep_top_k": 7, "eta": 0.9})
    s = detection(write(model, tmp_path))
    assert (s["num_classes"], s["background_label_id"], s["keep_top_k"]) == (3, 0, 7)
    assert (s["code_type"], s["confidence_threshold"]) == ("CENTER_SIZE", 0.01)
    nms = s["nms_param"]
    assert (nms["nms_threshold"], nms["top_k"], nms["eta"]) == (0.25, -1, 0.9)
    decoder = keras_ssd.with_decoder(model, confidence_threshold=None, code_type="corner")
    report = write(decoder, tmp_path, decoding={"keep_top_k": 3})
    s = detection(report)
    assert (s["code_type"], s.get("confidence_threshold"), s["keep_top_k"]) == ("CORNER", None, 3)
    assert types_of(report)[-2:] == ["Sigmoid", "DetectionOutput"]
    assert keras_ssd.from_caffe(*report.files).decoding["scores"] == "sigmoid"


def test_rejects_decoding_that_caffe_has_not(tmp_path):
    decoder = keras_ssd.with_decoder(tiny(), class_agnostic=True, clip_boxes=True)
    with pytest.raises(ExportError, match="no class_agnostic, clip_boxes.*'clip_boxes': False"):
        write(decoder, tmp_path)
    write(decoder, tmp_path, decoding={"class_agnostic": False, "clip_boxes": False})
    with pytest.raises(TypeError, match="iou_treshold"):
        write(decoder, tmp_path, decoding={"iou_treshold": 0.3})


@pytest.mark.parametrize("background", [-1, 0, 1, 2])
def test_roundtrip_class_columns(background, tmp_path):
    model = tiny(ClassColumns(3, background))
    report = write(model, tmp_path)
    assert "conf_channels" not in [layer.name for layer in read_prototxt(report.prototxt).layers]
    x = images(model)
    close(run(keras_ssd.from_caffe(*report.files), x), run(model, x), 1e-6)


def test_rejects_anchors_in_the_middle(tmp_path):
    model = tiny()
    more = keras.Model(model.inputs, keras.layers.ReLU()(model.output))
    with pytest.raises(ExportError, match="must end in one AnchorBoxes"):
        write(more, tmp_path)


# --- refused


def test_rejects_unknown_layers_all_at_once(tmp_path):
    class Own(keras.layers.Conv2D):
        def call(self, inputs):
            return -super().call(inputs)

    stack = (keras.layers.LayerNormalization(name="ln"), keras.layers.Conv2D(2, 1), Own(2, 1, name="own"))
    with pytest.raises(ExportError, match=r"2 layers.*Caffe: ln \(LayerNormalization\), own \(Own\)"):
        write(plain(*stack), tmp_path)
    assert not list(tmp_path.iterdir())


class _Renamed(keras.layers.Conv2D):
    """A subclass that computes what its parent does."""


def test_values_subclasses_are_written_as_their_parents(tmp_path):
    report = write(plain(_Renamed(2, 1)), tmp_path)
    assert [layer.type for layer in read_prototxt(report.prototxt).layers] == ["Input", "Convolution"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((keras.layers.Conv2D(2, 1, activation="gelu", name="c"),), "'c'.*activation.*gelu"),
        ((keras.layers.ReLU(threshold=1.0, name="r"),), "'r'.*threshold=1"),
        ((keras.layers.PReLU(name="p"),), r"'p'.*\(8, 8, 3\)"),
        ((keras.layers.UpSampling2D(2, interpolation="bilinear", name="u"),), "'u'.*nearest"),
        ((layers.LowestPadding2D(((4, 0), (0, 0)), name="l"), keras.layers.MaxPooling2D(2, name="m")), "'m'.*smaller"),
        ((layers.LowestPadding2D(((1, 1), (1, 1)), name="l"), keras.layers.Conv2D(2, 1, name="c")), "'c'.*max pooling"),
        ((keras.layers.Softmax(axis=(1, 2), name="s"),), "'s'.*one axis"),
    ],
)
def test_rejects_settings_that_caffe_has_not(stack, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        write(plain(*stack), tmp_path)


def test_rejects_grey_in_the_middle(tmp_path):
    with pytest.raises(ExportError, match="first layer"):
        write(plain(keras.layers.ReLU(), Grayscale()), tmp_path)


def test_rejects_models_without_one_image(tmp_path):
    with pytest.raises(ExportError, match="one input: images"):
        write(plain(keras.layers.Conv2D(2, 1), size=(None, 8, 3)), tmp_path)
    with pytest.raises(ExportError, match="one input: images"):
        write(plain(keras.layers.Conv2D(2, 1), size=(8, 8, 5)), tmp_path)
    with pytest.raises(TypeError, match="functional keras.Model"):
        write(keras.Sequential(), tmp_path)


def test_rejects_one_path_for_both_and_keeps_files_when_writing_fails(tmp_path, monkeypatch):
    model = plain(keras.layers.Conv2D(2, 1))
    with pytest.raises(ValueError, match="two files"):
        keras_ssd.to_caffe(model, tmp_path / "a", tmp_path / "a")
    report = write(model, tmp_path)
    before = [path.read_bytes() for path in report.files]

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("keras_ssd.caffe.exporter.exporting.write_caffemodel", broken)
    with pytest.raises(OSError, match="disk full"):
        write(plain(keras.layers.Conv2D(3, 1)), tmp_path)
    assert [path.read_bytes() for path in report.files] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel", "net.prototxt"]
