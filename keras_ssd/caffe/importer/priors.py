"""PriorBox layers -> the levels of an `AnchorSpec`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step


@dataclass(frozen=True)
class PriorLevel:
    """The settings of one PriorBox layer: its `AnchorLevel`, and the values that a spec has for all levels."""

    level: AnchorLevel
    image_size: tuple[int, int]
    variances: tuple[float, ...]
    clip: bool
    layer: str


def prior_level(step: Step, features: Blob, image: Blob) -> PriorLevel:
    """The level of a PriorBox layer, from the size of the heads' input and of the image."""
    s = step.settings("prior_box_param")
    size_hw = _pair(s, "img_size", "img_h", "img_w") or image.shape[2:4]
    variances = tuple(s["variance"]) or (0.1,)
    grid, common = features.shape[2:4], {"step": _pair(s, "step", "step_h", "step_w"), "offset": s["offset"]}
    if s["fixed_size"] or s["density"] or s["density_size"] or s["fixed_ratio"]:
        level, clip = _dense(step, s, size_hw, grid, common), True
    else:
        sizes = (tuple(s[name]) for name in ("min_size", "max_size", "aspect_ratio"))
        level = AnchorLevel.prior_box(
            size_hw, grid, *sizes, flip=s["flip"], truncate_sizes=step.truncate_sizes, **common
        )
        clip = s["clip"]
    return PriorLevel(level, tuple(size_hw), variances * (4 // len(variances)), clip, step.layer.name)


def _dense(step, s, size_hw, grid, common):
    """The level of a fork's PriorBox with `fixed_size`, whose boxes are always clipped to the image."""
    if s["min_size"] or s["max_size"]:
        step.fail("a PriorBox has either min_size or fixed_size here. Make two layers of it.")
    sizes, ratios = tuple(s["fixed_size"]), tuple(s["fixed_ratio"])
    densities = tuple(s["density"]) or tuple(s["density_size"])
    if len(densities) != len(sizes):
        step.fail(f"it needs a density for each fixed_size. Received: fixed_size={sizes}, density={densities}")
    extra = tuple(ratio for ratio in s["aspect_ratio"] if abs(ratio - 1) > 1e-6)
    if extra and ratios:
        step.fail("it has both aspect_ratio and fixed_ratio; the forks read fixed_ratio alone. Remove one.")
    inverse = [1 / ratio for ratio in extra] if s["flip"] else []
    if extra:
        pairs = zip(extra, inverse, strict=True) if inverse else zip(extra, strict=True)
        ratios = (1.0, *(ratio for pair in pairs for ratio in pair))
    tiling = "step" if s["density_size"] and s["fixed_ratio"] else "size"
    return AnchorLevel.density_prior_box(size_hw, grid, sizes, densities, ratios or (1.0,), tiling=tiling, **common)


def given_levels(step: Step, made: Any) -> tuple[PriorLevel, ...]:
    """The levels of the `AnchorSpec` that a user's function for a prior layer returned."""
    if not isinstance(made, AnchorSpec):
        step.fail(
            "the function of a layer that makes priors must return an AnchorSpec of this layer's level; its "
            f"image_size, variances and clip must be those of the other levels. Received: {type(made).__name__}"
        )
    return tuple(
        PriorLevel(level, made.image_size, made.variances, made.clip, step.layer.name) for level in made.levels
    )


def _pair(settings, both, high, wide):
    """(height, width) from one setting or two; None if neither is given."""
    if settings.get(high) and settings.get(wide):
        return settings.get(high), settings.get(wide)
    return (settings.get(both),) * 2 if settings.get(both) else None


def spec_of(levels: Sequence[PriorLevel]) -> AnchorSpec:
    """The `AnchorSpec` of all levels.

    Raises:
        ValueError: levels of different variances, clipping or image size, which one spec cannot have.
    """
    for what in ("variances", "clip", "image_size"):
        values = {getattr(level, what) for level in levels}
        if len(values) > 1:
            found = ", ".join(f"{level.layer}: {getattr(level, what)}" for level in levels)
            raise ValueError(f"All PriorBox layers of a net must have the same {what} here. Received: {found}")
    first = levels[0]
    return AnchorSpec(first.image_size, tuple(level.level for level in levels), first.variances, first.clip)
