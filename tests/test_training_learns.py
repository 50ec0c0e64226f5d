"""A few images are learnt by heart: whatever is wrong between image and box shows here."""

import pytest
from training_toys import repeated, run, squares, toy

import keras_ssd
from keras_ssd.evaluation import evaluate

BY_HEART = {"batch_size": 8, "augment": None}


def learnt(model, data):
    return evaluate(model, data, "voc12", progress=False).map


@pytest.mark.numerical
def test_values_eight_squares_are_learnt(tmp_path):
    model, data = toy(dropout=0.0), squares(8)
    assert learnt(model, data) < 0.5
    run(tmp_path, model=model, data=repeated(data, 30), epochs=4, **BY_HEART)
    assert learnt(model, data) >= 0.95


@pytest.mark.slow
def test_values_eight_blood_smears_are_learnt(tmp_path, shared):
    data = keras_ssd.data.read(shared("data", "bccd"), "val", policy="drop")[:8]
    model = keras_ssd.ssd_small(classes=data.classes, anchors="cells")
    run(tmp_path, model=model, data=repeated(data, 50), epochs=3, learning_rate=None, **BY_HEART)
    assert learnt(model, data) >= 0.95
