"""The doctor: a good model is broken in every way that people break models, and each is named."""

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd.anchors import AnchorSpec
from keras_ssd.cli import main
from keras_ssd.data import Annotation, Dataset
from keras_ssd.demonstration import draw_smear
from keras_ssd.doctor import Diagnosis, Finding, examine

COLUMNS = 4  # background and three classes


@pytest.fixture(scope="module")
def smears():
    drawn = [draw_smear(seed, red_cells=12) for seed in range(4)]
    annotations = [
        Annotation(f"smear{i}", one.image, one.truth.boxes_xyxy, one.truth.class_ids, one.image.shape[:2])
        for i, one in enumerate(drawn)
    ]
    return Dataset("smears", drawn[0].truth.class_names, annotations)


@pytest.fixture
def model():
    return keras_ssd.ssd_small(weights="cells")


def images_of(dataset):
    return [annotation.image for annotation in dataset]


def heads(model, ending="_mbox_conf"):
    return [layer for layer in model.layers if layer.name.endswith(ending)]


def change(layer, *functions):
    layer.set_weights([function(weight) for function, weight in zip(functions, layer.get_weights(), strict=True)])


def class_columns(function):
    """A function of (..., boxes, C + 1) as one of a head's kernel or bias."""
    return lambda weight: function(weight.reshape(*weight.shape[:-1], -1, COLUMNS)).reshape(weight.shape)


def turn_colours(model):
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    change(first, *[lambda w: w[:, :, ::-1]], *[lambda w: w] * (len(first.get_weights()) - 1))


def preprocess(scale, offset):
    def break_it(model):
        layer = model.get_layer("preprocessing")
        layer.scale, layer.offset = scale, offset

    return break_it


def background_last(model):
    for head in heads(model):
        change(head, *[class_columns(lambda w: np.roll(w, -1, axis=-1))] * 2)


def rename(model):
    model.class_names = ("WBC", "Platelets", "RBC")


def silence_a_head(model):
    change(heads(model)[1], np.zeros_like, np.zeros_like)


def silence_a_class(model):
    def without_second(weight):
        weight = weight.copy()
        weight[..., 1] = 0
        return weight

    for head in heads(model):
        change(head, *[class_columns(without_second)] * 2)


def lose_a_weight(model):
    def with_nan(weight):
        weight = weight.copy()
        weight.flat[0] = np.nan
        return weight

    change(heads(model)[1], with_nan, np.array)


def forget_the_heads(model):
    fresh = keras_ssd.ssd_small(classes=["a", "b", "c"], anchors="cells")
    for ending in ("_mbox_conf", "_mbox_loc"):
        for head, other in zip(heads(model, ending), heads(fresh, ending), strict=True):
            head.set_weights(other.get_weights())


def hesitate(model):
    def doubtful(bias):
        bias = bias.copy()
        bias[..., 0] += 9
        return bias

    for head in heads(model):
        change(head, np.array, class_columns(doubtful))


def with_anchors(model, factor):
    """The same weights on anchors of other sizes."""
    document = model.anchor_spec.to_dict()
    for level in document["levels"]:
        level["boxes_hw"] = (np.array(level["boxes_hw"]) * factor).tolist()
    other = keras_ssd.ssd_small(classes=model.class_names, anchors=AnchorSpec.from_dict(document))
    other.set_weights(model.get_weights())
    return other


@pytest.mark.numerical
@pytest.mark.parametrize("annotated", [True, False])
def test_values_a_good_model_is_fine(model, smears, annotated):
    diagnosis = examine(model, smears if annotated else images_of(smears))
    assert diagnosis.verdict is None, str(diagnosis)
    assert {f.check for f in diagnosis.findings} == {
        *("backend", "heads", "background", "preprocessing", "anchors", "classes", "images", "scores")
    }
    assert "nothing wrong was found" in str(diagnosis)
    assert "those of all 3 feature maps answer" in str(diagnosis)


BREAKAGES = [
    (turn_colours, "preprocessing", "colour order: the network is fed RGB"),
    (preprocess(1 / 255, 0.0), "preprocessing", "weights were trained on RGB, values -1..1"),
    (preprocess(1 / 127.5, 0.0), "preprocessing", "values 0..2, and its weights were trained on RGB, values -1..1"),
    (preprocess(1.0, 0.0), "preprocessing", "mean and scale: the network is fed RGB, values 0..255"),
    (background_last, "background", "have the background last"),
    (silence_a_head, "heads", "nothing but zeros: stage16_mbox_conf"),
    (silence_a_class, "heads", "'RBC' on feature map 1"),
    (lose_a_weight, "heads", "NaN or infinite numbers: stage16_mbox_conf/kernel"),
    (forget_the_heads, "heads", "untrained"),
    (hesitate, "scores", "the best score of an image is 0."),
]


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("case", range(len(BREAKAGES)), ids=[f"{i}-{row[1]}" for i, row in enumerate(BREAKAGES)])
def test_values_every_breakage_is_named(model, smears, case, annotated):
    break_it, check, text = BREAKAGES[case]
    break_it(model)
    verdict = examine(model, smears if annotated else images_of(smears)).verdict
    assert (verdict.check, verdict.level) == (check, "fault")
    assert text in verdict.text
    assert verdict.advice


def test_values_a_wrong_order_of_names_is_told_by_annotated_images(model, smears):
    rename(model)
    assert examine(model, images_of(smears)).faults == ()
    verdict = examine(model, smears).verdict
    assert verdict.check == "classes"
    assert "'RBC' is called 'WBC'" in verdict.text


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_values_other_anchors_are_told_by_annotated_images(model, smears, factor):
    verdict = examine(with_anchors(model, factor), smears).verdict
    assert verdict.check == "anchors"
    assert "the weights were trained with those" in verdict.text


def test_values_classes_that_the_model_does_not_know(model, smears):
    verdict = examine(model, smears.with_classes(["RBC", "WBC", "thrombocyte"], {"Platelets": "thrombocyte"})).verdict
    assert verdict.check == "classes"
    assert "thrombocyte" in verdict.text


def far_away(annotation, times):
    """The image in the corner of one that is `times` as high and wide."""
    height, width = annotation.size_hw
    canvas = np.full((times * height, times * width, 3), 200, np.uint8)
    canvas[:height, :width] = annotation.image
    return Annotation(
        annotation.name, canvas, annotation.boxes_xyxy, annotation.class_ids, (times * height, times * width)
    )


def test_values_images_that_are_too_large(model, smears):
    large = [far_away(annotation, 8) for annotation in smears[:2]]
    verdict = examine(model, Dataset("large", smears.classes, large)).verdict
    assert verdict.check == "images"
    assert "no anchor can match them" in verdict.text
    diagnosis = examine(model, [annotation.image for annotation in large])
    [images] = [finding for finding in diagnosis.findings if finding.check == "images"]
    assert images.level == "doubt"
    assert "times as large" in images.text


def test_values_grey_and_squeezed_images_raise_doubts(model, smears):
    def doubt(images):
        [found] = [f for f in examine(model, images).findings if f.check == "images"]
        return found.level, found.text

    grey = [np.repeat(p.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8) for p in images_of(smears)]
    assert doubt(grey)[0] == "doubt"
    assert "grey" in doubt(grey)[1]
    wide = [p[:120] for p in images_of(smears)]
    assert doubt(wide)[0] == "doubt"
    assert "squeezed" in doubt(wide)[1]


def test_values_a_backend_that_computes_otherwise(model, smears, monkeypatch):
    real = type(model).predict_on_batch
    monkeypatch.setattr(type(model), "predict_on_batch", lambda self, x: real(self, x) * 1.5)
    verdict = examine(model, smears).verdict
    assert verdict.check == "backend"
    assert "compiled and uncompiled answers differ" in verdict.text


def test_values_without_images_the_network_alone_is_examined(model):
    diagnosis = examine(model)
    assert diagnosis.verdict is None, str(diagnosis)
    silence_a_head(model)
    assert examine(model).faults == ("heads",)


def test_values_a_model_that_ends_in_its_decoder(model, smears):
    whole = keras_ssd.with_decoder(model)
    assert examine(whole, smears).verdict is None
    turn_colours(model)
    assert examine(whole, smears).verdict.check == "preprocessing"


def test_rejects_what_is_no_detector():
    with pytest.raises(TypeError, match="keras_ssd model"):
        examine(keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="`level` must be one of"):
        Finding("heads", "bad", "")


def test_values_verdict_is_the_first_fault_else_the_first_doubt():
    fine, doubt, fault = (Finding("heads", level, level, "do it") for level in ("fine", "doubt", "fault"))
    assert Diagnosis((fine, doubt, fault)).verdict is fault
    assert Diagnosis((fine, doubt)).verdict is doubt
    assert "no fault was found" in str(Diagnosis((fine, doubt)))
    assert Diagnosis((fine,)).verdict is None


def test_values_command(model, smears, tmp_path, capsys):
    keras_ssd.data.write(smears, tmp_path / "data", "coco")
    assert main(["doctor", "cells", str(tmp_path / "data")]) == 0
    assert "nothing wrong was found" in capsys.readouterr().out
    turn_colours(model)
    model.save(tmp_path / "broken.keras")
    assert main(["doctor", str(tmp_path / "broken.keras"), str(tmp_path / "data")]) == 1
    out = capsys.readouterr().out
    assert "Verdict: preprocessing. colour order" in out
    assert "Try next: Turn the input channels" in out


def test_rejects_command_without_a_model(capsys):
    assert main(["doctor", "no_such.keras"]) == 2
    assert "no_such.keras" in capsys.readouterr().err
