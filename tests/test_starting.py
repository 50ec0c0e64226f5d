"""What factories take from the weights that they start from."""

import pytest

import keras_ssd


@pytest.mark.parametrize("factory", ["ssd7", "ssd_small", "mobilenet_ssd", "ssd_mobilenet_v1", "ssdlite320"])
def test_roundtrip_decoding_of_a_saved_model(factory, tmp_path):
    """A factory that starts from a .keras file decodes as that model does, not as its own nets usually do."""
    make = getattr(keras_ssd, factory)
    size = {"ssd7": (96, 128)}.get(factory, (160, 160))
    model = make(classes=["cat", "dog"], input_size=size)
    decoding = {**model.decoding, "iou_threshold": 0.3, "keep_top_k": 7}
    changed = keras_ssd.SSD(
        model.inputs[0], model.outputs[0], name=model.name, class_names=model.class_names, decoding=decoding
    )
    changed.save(tmp_path / "changed.keras")
    again = make(weights=tmp_path / "changed.keras", classes=["dog"], input_size=size)
    assert again.decoding == decoding
    assert make(classes=["dog"], input_size=size).decoding == model.decoding
