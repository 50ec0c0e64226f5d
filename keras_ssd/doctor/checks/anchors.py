"""Whether the anchors are those that the weights were trained with."""

import numpy as np

from keras_ssd.anchors import named_spec, recipe_names
from keras_ssd.doctor.findings import FAULT, FINE, Finding
from keras_ssd.doctor.probe import Probe

FACTORS = (0.5, 0.67, 0.8, 1.25, 1.5, 2.0)


def check_anchors(probe: Probe) -> Finding:
    """Decodes the same answers with other anchors, and sees whether that makes better boxes."""
    spec = probe.model.anchor_spec
    about = f"{spec.num_anchors:,} on {len(spec.levels)} feature maps"
    if probe.truth is None:
        return Finding("anchors", FINE, f"{about}; whether their sizes are right only annotated images can tell.")
    before = probe.worth(probe.rows(probe.raw))
    best = (before, None)
    for name, anchors in _others(probe.model, spec):
        worth = probe.worth(probe.rows(probe.raw, anchors))
        if worth > best[0]:
            best = (worth, name)
    if best[1] is None or not probe.better(best[0], before):
        return Finding("anchors", FINE, f"{about}; no other sizes that were tried make better boxes.")
    return Finding(
        "anchors",
        FAULT,
        f"with these anchors the boxes reach {probe.told(before)}, with {best[1]} {probe.told(best[0])}: the weights "
        "were trained with those.",
        "Make the model with the anchors of its weights: the factory's argument `anchors`, or the catalogue's own set.",
    )


def _others(model, spec):
    """(name, (N, 4) anchors) that fit the same heads."""
    own = spec.anchors_cxcywh()
    for name in recipe_names():
        try:
            other = named_spec(name, model.input_size, spec.grids)
        except ValueError:  # a recipe for other feature maps
            continue
        anchors = other.anchors_cxcywh()
        if other.boxes_per_cell == spec.boxes_per_cell and not np.allclose(anchors, own, atol=1e-4):
            yield f"those of '{name}'", anchors
    for factor in FACTORS:
        yield f"ones {factor:g} times as large", np.concatenate([own[..., :2], own[..., 2:] * factor], axis=-1)
