"""Arguments that a function does not have, and signatures that `help` and editors show."""

import copy
import importlib
import inspect
import pickle

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.calling import checked_arguments
from keras_ssd.images import ImageError
from keras_ssd.models.opening import FACTORIES

MODULES = (
    keras_ssd,
    keras_ssd.anchors,
    keras_ssd.backbones,
    keras_ssd.data,
    keras_ssd.doctor,
    keras_ssd.evaluation,
    keras_ssd.formats,
    keras_ssd.layers,
    keras_ssd.losses,
    keras_ssd.zoo,
)
METHODS = (
    keras_ssd.AnchorLevel.of_boxes,
    keras_ssd.AnchorLevel.prior_box,
    keras_ssd.AnchorLevel.scaled,
    keras_ssd.Detections.draw,
    keras_ssd.Detections.filter,
    keras_ssd.SSD.detect,
    keras_ssd.TargetEncoder.encode,
    keras_ssd.TargetEncoder.from_model,
    keras_ssd.callbacks.Evaluate,
    keras_ssd.data.Dataset.filter,
    keras_ssd.data.Dataset.merge,
    keras_ssd.data.Dataset.sample,
    keras_ssd.data.Dataset.split,
    keras_ssd.data.Dataset.with_classes,
)
ANNOTATED = (
    *FACTORIES.values(),
    keras_ssd.SSD.detect,
    keras_ssd.data.batches,
    keras_ssd.data.check,
    keras_ssd.data.read,
    keras_ssd.data.read_splits,
    keras_ssd.data.write,
    keras_ssd.demo,
    keras_ssd.detect,
    keras_ssd.evaluation.evaluate,
    keras_ssd.from_caffe,
    keras_ssd.load,
    keras_ssd.open_model,
    keras_ssd.ssd,
    keras_ssd.to_caffe,
    keras_ssd.to_onnx,
    keras_ssd.train,
    keras_ssd.with_anchors,
    keras_ssd.with_classes,
    keras_ssd.with_decoder,
)
# What users of Keras's, Ultralytics', torchvision's and ssd_keras's detectors type, and what it is called here.
MEANT = [
    (keras_ssd.ssd300, "num_classes", "classes"),
    (keras_ssd.ssd512, "n_classes", "classes"),
    (keras_ssd.ssd300, "class_names", "classes"),
    (keras_ssd.ssd300, "l2_regularization", "l2"),
    (keras_ssd.ssd300, "image_size", "input_size"),
    (keras_ssd.ssd7, "subtract_mean", "mean"),
    (keras_ssd.ssd7, "divide_by_stddev", "std"),
    (keras_ssd.ssd_small, "input_shape", "input_size"),
    (keras_ssd.ssd_mobilenet_v1, "alpha", "width"),
    (keras_ssd.ssdlite320, "pretrained", "weights"),
    (keras_ssd.mobilenet_ssd, "aspect_ratios", "anchors"),
    (keras_ssd.ssd, "trainable_backbone_layers", "freeze"),
    (keras_ssd.ssd300, "wieghts", "weights"),
    (keras_ssd.detect, "conf", "confidence"),
    (keras_ssd.detect, "iou", "iou_threshold"),
    (keras_ssd.detect, "max_det", "keep_top_k"),
    (keras_ssd.SSD.detect, "confidence_threshold", "confidence"),
    (keras_ssd.SSD.detect, "batch", "batch_size"),
    (keras_ssd.with_decoder, "confidence", "confidence_threshold"),
    (keras_ssd.with_decoder, "nms_iou_threshold", "iou_threshold"),
    (keras_ssd.with_decoder, "nms_max_output_size", "top_k"),
    (keras_ssd.DecodeDetections, "confidence_thresh", "confidence_threshold"),
    (keras_ssd.DecodeOptions, "agnostic_nms", "class_agnostic"),
    (keras_ssd.evaluation.evaluate, "iou", "iou_threshold"),
    (keras_ssd.evaluation.evaluate, "conf", "confidence"),
    (keras_ssd.data.read, "image_set", "split"),
    (keras_ssd.data.read, "imgs", "images"),
    (keras_ssd.data.batches, "transforms", "augment"),
    (keras_ssd.data.batches, "bs", "batch_size"),
    (keras_ssd.train, "lr", "learning_rate"),
    (keras_ssd.train, "validation_data", "validation_set"),
    (keras_ssd.train, "num_epochs", "epochs"),
    (keras_ssd.train, "n_jobs", "workers"),
    (keras_ssd.SSDLoss, "class_weight", "class_weights"),
    (keras_ssd.SSDLoss, "hard_negative_ratio", "neg_pos_ratio"),
    (keras_ssd.MatchRules, "iou", "iou_threshold"),
    (keras_ssd.load, "filepath", "path"),
    (keras_ssd.open_model, "labels", "class_names"),
    (keras_ssd.L2Normalization, "gamma_init", "gamma_regularizer"),
    (keras_ssd.CaffeSGD, "lr", "learning_rate"),
]


def public():
    found = {}
    for module in MODULES:
        for name in dir(module):
            value = getattr(module, name)
            ours = callable(value) and getattr(value, "__module__", "").startswith("keras_ssd")
            if ours and not name.startswith("_") and not isinstance(value, type):
                found[f"{value.__module__}.{name}"] = value
    return sorted(found.items())


@pytest.mark.parametrize(("name", "function"), public())
def test_rejects_unknown_arguments_of_every_public_function(name, function):
    takes = [parameter.name for parameter in inspect.signature(function).parameters.values()]
    if not takes:
        return
    with pytest.raises(TypeError, match=r"\(\) has no argument `zzz`\. It takes: "):
        function(zzz=1)


@pytest.mark.parametrize("function", METHODS, ids=lambda function: function.__qualname__)
def test_rejects_unknown_arguments_of_methods(function):
    with pytest.raises(TypeError, match=r"\(\) has no argument `zzz`\. It takes: "):
        function(zzz=1) if inspect.ismethod(function) or isinstance(function, type) else function(None, zzz=1)


@pytest.mark.parametrize(("function", "given", "meant"), MEANT)
def test_rejects_with_the_name_that_was_meant(function, given, meant):
    with pytest.raises(TypeError, match=f"has no argument `{given}`. Did you mean `{meant}`( or `[a-z_0-9]+`)?\\?"):
        function(**{given: 3})
    assert meant in inspect.signature(function).parameters


def test_rejects_several_unknown_arguments_at_once():
    with pytest.raises(TypeError) as error:
        keras_ssd.detect("model", [], conf=0.2, iou=0.4)
    assert str(error.value).startswith(
        "detect() has no argument `conf`. Did you mean `confidence`? "
        "detect() has no argument `iou`. Did you mean `iou_threshold`? It takes: model, sources, confidence,"
    )


@pytest.mark.parametrize("function", ANNOTATED, ids=lambda function: function.__qualname__)
def test_values_signatures_are_explicit_and_typed(function):
    parameters = inspect.signature(function).parameters.values()
    assert {parameter.kind for parameter in parameters} <= {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }
    bare = [p.name for p in parameters if p.annotation is inspect.Parameter.empty and p.name != "self"]
    assert not bare


def test_values_help_shows_every_argument():
    wanted = [
        "weights",
        "classes",
        "weights_classes",
        "input_size",
        "anchors",
        "dropout",
        "l2",
        "kernel_initializer",
        "freeze",
        "name",
    ]
    for factory in (keras_ssd.ssd300, keras_ssd.ssd512):
        assert list(inspect.signature(factory).parameters) == wanted


def test_values_options_that_stand_in_two_places_are_the_same():
    parameters = [dict(inspect.signature(one).parameters) for one in (keras_ssd.detect, keras_ssd.SSD.detect)]
    del parameters[0]["model"], parameters[1]["self"]
    assert list(parameters[0]) == list(parameters[1])
    assert all(parameters[0][name].default == parameters[1][name].default for name in parameters[0])
    layer = dict(inspect.signature(keras_ssd.DecodeDetections).parameters)
    options = inspect.signature(keras_ssd.DecodeOptions).parameters
    assert list(layer) == ["from_logits", *options, "kwargs"]
    assert all(layer[name].default == options[name].default for name in options)
    decoder = inspect.signature(keras_ssd.with_decoder).parameters
    assert set(decoder) == {"model", "from_logits", *options}
    assert "the model's own" in str(decoder["iou_threshold"])


def test_values_second_names_work():
    @checked_arguments(class_names="classes")
    def read(path, *, classes=None):
        return path, classes

    assert read("a", class_names=["x"]) == read("a", classes=["x"]) == ("a", ["x"])
    with pytest.raises(TypeError, match=r"takes `classes` or `class_names`, which are the same.* Received: both"):
        read("a", class_names=["x"], classes=["x"])
    with pytest.raises(TypeError, match="has no argument `clases`. Did you mean `classes`?"):
        read("a", clases=["x"])


def test_rejects_functions_of_any_arguments():
    with pytest.raises(TypeError, match="takes arguments of any name"):
        checked_arguments(lambda **options: options)


def test_values_a_class_takes_what_its_bases_take():
    class Mine(keras_ssd.L2Normalization):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

    layer = Mine(2, scale=3.0, name="mine", activity_regularizer="l2", dtype="float64")
    assert (layer.factor, layer.scale, layer.name, layer.dtype) == (2, 3.0, "mine", "float64")
    with pytest.raises(TypeError, match="L2Normalization\\(\\) has no argument `scal`. Did you mean `scale`?"):
        Mine(2, scal=3.0)


def test_roundtrip_wrapped_functions_and_classes_are_themselves():
    assert pickle.loads(pickle.dumps(keras_ssd.ssd300)) is keras_ssd.ssd300
    options = keras_ssd.DecodeOptions(top_k=3)
    assert copy.deepcopy(options) == pickle.loads(pickle.dumps(options)) == options
    assert keras_ssd.ssd300.__name__ == "ssd300"
    assert keras_ssd.ssd300.__doc__.startswith("SSD300: the original")


def test_values_with_decoder_takes_what_is_given_and_the_rest_from_the_model():
    model = tiny_ssd(decoding={"iou_threshold": 0.3, "top_k": 50})
    [layer] = [layer for layer in keras_ssd.with_decoder(model, top_k=None).layers if layer.name == "detections"]
    assert layer.options == keras_ssd.DecodeOptions(iou_threshold=0.3, top_k=None)
    assert isinstance(layer, keras.layers.Layer)


def test_values_former_names_of_arguments_and_attributes_work_and_warn():
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.warns(DeprecationWarning, match=r"Annotation\(picture=\) is the former name of `image`"):
        annotation = keras_ssd.data.Annotation("a", picture=pixels, boxes_xyxy=[[1, 1, 4, 4]], class_ids=[0])
    assert annotation.image is pixels
    with pytest.warns(DeprecationWarning, match=r"Annotation.picture is the former name of `image`"):
        assert annotation.picture is pixels
    with pytest.warns(DeprecationWarning, match="mining='image'"):
        assert keras_ssd.SSDLoss(mining="picture").get_config()["mining"] == "image"
    with pytest.warns(DeprecationWarning, match="`keras_ssd.images.ImageError`"):
        assert importlib.import_module("keras_ssd.pictures").PictureError is ImageError
    former = pytest.warns(DeprecationWarning, match="former name of `image`")
    with pytest.raises(TypeError, match="takes `image` or `picture`"), former:
        keras_ssd.data.Annotation("a", image=pixels, picture=pixels, boxes_xyxy=[[1, 1, 4, 4]], class_ids=[0])
