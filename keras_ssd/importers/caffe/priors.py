"""PriorBox layers -> the levels of an `AnchorSpec`."""

from dataclasses import dataclass

from keras_ssd.anchors import AnchorLevel, AnchorSpec


@dataclass(frozen=True)
class PriorLevel:
    """What one PriorBox layer says: its `AnchorLevel`, and what a spec states for all levels."""

    level: AnchorLevel
    image_size: tuple
    variances: tuple
    clip: bool
    layer: str


def prior_level(step, features, picture):
    """The level of a PriorBox layer.

    Args:
        step: the `Step` of the layer.
        features: the blob that the heads of this level read; only its grid counts.
        picture: the blob of the picture; only its size counts.
    """
    s = step.settings("prior_box_param")
    image = _pair(s, "img_size", "img_h", "img_w") or picture.shape[2:4]
    variances = tuple(s["variance"]) or (0.1,)
    level = AnchorLevel.prior_box(
        image,
        features.shape[2:4],
        tuple(s["min_size"]),
        tuple(s["max_size"]),
        tuple(s["aspect_ratio"]),
        flip=s["flip"],
        step=_pair(s, "step", "step_h", "step_w"),
        offset=s["offset"],
        truncate_sizes=step.truncate_sizes,
    )
    return PriorLevel(level, tuple(image), variances * (4 // len(variances)), s["clip"], step.layer.name)


def _pair(settings, both, high, wide):
    """(height, width) from one setting or two; None where neither is given."""
    if settings.get(high) and settings.get(wide):
        return settings.get(high), settings.get(wide)
    return (settings.get(both),) * 2 if settings.get(both) else None


def spec_of(levels):
    """The `AnchorSpec` of all levels.

    Raises:
        ValueError: levels of different variances, clipping or image size, which one spec cannot say.
    """
    for what in ("variances", "clip", "image_size"):
        values = {getattr(level, what) for level in levels}
        if len(values) > 1:
            found = ", ".join(f"{level.layer}: {getattr(level, what)}" for level in levels)
            raise ValueError(f"All PriorBox layers of a net must have the same {what} here. Received: {found}")
    first = levels[0]
    return AnchorSpec(first.image_size, tuple(level.level for level in levels), first.variances, first.clip)
