"""The feature maps of a backbone that the heads read: proposed, or found by name."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import keras

from keras_ssd.backbones.taps import possible_taps, propose_taps
from keras_ssd.models.heads import Tap
from keras_ssd.names import unknown_name

L2_SCALE = 20.0  # weiliu89/caffe, branch ssd, examples/ssd/ssd_pascal.py


def proposed_taps(body: keras.Model, found: Mapping[str, Any], levels: Mapping[str, str], strides: Any) -> list[Tap]:
    """Taps of a backbone, from its `feature_maps`, or the {level: layer name} of KerasHub, at these strides in pixels.

    A map without fixed scale is normalised: with BatchNormalization, or as in the original with `L2Normalization` if
    the backbone has no normalisation at all. The coarsest map stays unchanged, as in the original.

    Raises:
        ValueError: the backbone has no map coarser than the image.
    """
    known = {name: found[name] for name in levels.values() if name in found}
    maps = propose_taps(known or found, strides)
    if not maps:
        raise ValueError(
            f"Backbone '{body.name}' has no feature map that is coarser than the image. Give `taps=[...]`, or a "
            "network with pooling or strides."
        )
    plain = not any(each.normalized for each in found.values())
    taps = []
    for each in maps:
        loose = not each.normalized and each is not maps[-1]
        taps.append(Tap(each.layer, l2_scale=L2_SCALE if loose and plain else None, batch_norm=loose and not plain))
    return taps


def check_tap(body: keras.Model, found: Mapping[str, Any], tap: Tap) -> None:
    """Raises ValueError for a tap on a missing layer, or on a layer whose output is not a map."""
    if tap.layer in found:
        return
    names = [layer.name for layer in body.layers]
    advice = f"Possible taps: {possible_taps(found)}."
    if tap.layer not in names:
        raise ValueError(unknown_name(f"layer of the backbone '{body.name}'", tap.layer, names, advice))
    raise ValueError(
        f"Layer '{tap.layer}' of the backbone '{body.name}' cannot be tapped: its output must be one map (B, H, W, C) "
        f"of known size, of a layer that is called once and does more than pad or crop. {advice}"
    )


def check_falling(found: Mapping[str, Any], taps: Sequence[Tap]) -> None:
    """Raises ValueError unless each tap's grid is at most as large as the one's before."""
    rows = [found[tap.layer] for tap in taps]
    for before, after in pairwise(rows):
        if any(a > b for a, b in zip(after.grid_hw, before.grid_hw, strict=True)):
            raise ValueError(
                "`taps` must go from the finest feature map to the coarsest. "
                f"Received: {before}, then {after}. Possible taps: {possible_taps(found)}."
            )
