"""Preprocessing layers of Keras and KerasCV in a chain: boxes follow pixels, and all follows from the generator."""

import sys
import types

import keras
import numpy as np
import pytest
from augment_markers import assert_equal, find_mark, in_pixels, marked, noise

from keras_ssd.data.augment import Chain, Flip, KerasLayer, sample_rng


def layers():
    return {
        "flip": keras.layers.RandomFlip("horizontal", bounding_box_format="rel_xyxy"),
        "flip in pixels": keras.layers.RandomFlip(bounding_box_format="xyxy"),
        "translation": keras.layers.RandomTranslation(0.3, 0.3, fill_mode="constant", bounding_box_format="xyxy"),
        "translation in fractions": keras.layers.RandomTranslation(
            0.3, 0.3, fill_mode="constant", bounding_box_format="rel_xyxy"
        ),
        "zoom": keras.layers.RandomZoom((-0.2, 0.2), fill_mode="constant", bounding_box_format="rel_xyxy"),
        "rotation": keras.layers.RandomRotation(0.08, fill_mode="constant", bounding_box_format="xyxy"),
        "perspective": keras.layers.RandomPerspective(bounding_box_format="xyxy"),
        "centre": keras.layers.CenterCrop(34, 40, bounding_box_format="rel_xyxy"),
        "resizing": keras.layers.Resizing(30, 26, bounding_box_format="xyxy"),
    }


@pytest.mark.numerical
@pytest.mark.parametrize("name", list(layers()))
def test_values_layers_of_keras_move_boxes_with_pixels(name):
    chain = Chain([Flip(), KerasLayer(layers()[name]), Flip()])
    for index in range(6):
        sample = marked((40, 52), (8 + index, 12, 30 + index, 31))
        result = chain(sample, sample_rng(0, 0, index))
        mark = find_mark(result.image)
        assert result.image.dtype == np.uint8
        assert len(result) == (mark is not None)
        if mark is not None:
            np.testing.assert_allclose(in_pixels(result)[0], mark, atol=2.1)
            assert (result.class_ids.tolist(), result.difficult.tolist()) == ([3], [True])
    assert len(chain(noise((40, 52), boxes=0), sample_rng(0, 0, 0))) == 0


def random_layers():
    """Some of one generator, and some that hold further layers."""
    return [
        keras.layers.RandomBrightness(0.5),
        keras.layers.RandomColorJitter((0, 255), 0.3, 0.3, 0.3, 0.3),
        keras.Sequential([keras.layers.RandomContrast(0.5), keras.layers.RandomHue(0.3)]),
    ]


@pytest.mark.numerical
@pytest.mark.parametrize("place", range(3))
def test_values_layers_within_layers_follow_the_samples_generator_too(place):
    layer, sample = random_layers()[place], noise((16, 20), seed=1)
    block = KerasLayer(layer, boxes=False)
    once = [block(sample, sample_rng(0, 0, index)) for index in range(4)]
    assert any((result.image != once[0].image).any() for result in once)
    for index in reversed(range(4)):
        assert_equal(block(sample, sample_rng(0, 0, index)), once[index])


@pytest.mark.numerical
def test_values_layers_of_keras_follow_the_samples_generator():
    block = KerasLayer(keras.layers.RandomFlip("horizontal", bounding_box_format="rel_xyxy"))
    assert block.seeded
    sample = noise((20, 24))
    once = [block(sample, sample_rng(0, 0, index)) for index in range(12)]
    for index in reversed(range(12)):
        assert_equal(block(sample, sample_rng(0, 0, index)), once[index])
    turned = sum((result.image != sample.image).any() for result in once)
    assert 0 < turned < 12
    colours = KerasLayer(keras.layers.RandomBrightness(0.5), boxes=False)
    result, track = colours.trace(sample, sample_rng(0, 0, 1))
    assert (result.image != sample.image).any()
    np.testing.assert_array_equal(result.boxes_xyxy, sample.boxes_xyxy)
    with pytest.raises(ValueError, match="cannot be mapped back through RandomBrightness"):
        track.invert(result.boxes_xyxy)


def test_values_layers_with_keras_cvs_conventions(monkeypatch):
    """KerasCV says "classes", gives ragged boxes, and holds a generator of TensorFlow's; it is seldom installed."""
    monkeypatch.setitem(sys.modules, "keras_cv", types.ModuleType("keras_cv"))

    class Generator:
        def reset_from_seed(self, seed):
            self.rng = np.random.default_rng(seed)

    class Ragged:
        def __init__(self, rows):
            self.rows = np.asarray(rows)

        def to_tensor(self, default_value):
            padding = np.full((2, *self.rows.shape[1:]), default_value)
            return np.concatenate([self.rows, padding])[None].astype(np.float32)

    class Dropping:
        """Keeps the second half of the boxes, in reverse, and adds noise."""

        bounding_box_format, seed = "xyxy", 7

        def __init__(self):
            self._random_generator = Generator()

        def __call__(self, inputs, training):
            boxes, classes = inputs["bounding_boxes"]["boxes"][0], inputs["bounding_boxes"]["classes"][0]
            half = slice(None, len(boxes) // 2 - 1, -1)
            images = inputs["images"] + self._random_generator.rng.normal(size=inputs["images"].shape)
            return {
                "images": images,
                "bounding_boxes": {"boxes": Ragged(boxes[half]), "classes": Ragged(classes[half])},
            }

    Dropping.__module__ = "keras_cv.src.layers"
    block, sample = KerasLayer(Dropping()), noise((20, 30), boxes=6)
    assert not block.seeded  # nobody can tell from outside
    result = block(sample, sample_rng(0, 0, 0))
    np.testing.assert_allclose(result.boxes_xyxy, sample.boxes_xyxy[:2:-1], atol=1e-6)
    np.testing.assert_array_equal(result.class_ids, sample.class_ids[:2:-1])
    np.testing.assert_array_equal(result.difficult, sample.difficult[:2:-1])
    assert_equal(block(sample, sample_rng(0, 0, 0)), result)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KerasLayer(keras.layers.RandomFlip), TypeError, "made and not its class"),
        (lambda: KerasLayer(keras.layers.RandomFlip()), ValueError, "Make RandomFlip with bounding_box_format"),
        (lambda: KerasLayer(keras.layers.RandomFlip(bounding_box_format="xywh")), ValueError, "or .xyxy."),
        (
            lambda: KerasLayer(keras.layers.RandomRotation(0.1, bounding_box_format="rel_xyxy")),
            ValueError,
            "for pixels",
        ),
        (lambda: KerasLayer(keras.layers.RandomPerspective(bounding_box_format="rel_xyxy")), ValueError, "for pixels"),
        (lambda: KerasLayer(keras.layers.RandomCrop(9, 9, bounding_box_format="xyxy")), ValueError, "Use RandomPatch"),
        (lambda: KerasLayer(keras.layers.RandomShear(0.1, bounding_box_format="xyxy")), ValueError, "off by up to 4 %"),
        (lambda: KerasLayer(keras.layers.AugMix(), boxes=False), ValueError, "AugMix.*follows no generator"),
        (lambda: KerasLayer(keras.layers.RandAugment(), boxes=False), ValueError, "RandAugment cannot be"),
        (
            lambda: KerasLayer(keras.Sequential([keras.layers.RandomHue(0.1), keras.layers.RandomFlip()]), boxes=False),
            ValueError,
            "RandomFlip moves boxes too",
        ),
    ],
)
def test_rejects(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_rejects_a_layer_that_moves_what_it_says_it_does_not():
    block = KerasLayer(keras.layers.Resizing(9, 9), boxes=False)
    with pytest.raises(ValueError, match="so it moves boxes too"):
        block(noise((20, 20)), sample_rng(0, 0, 0))
