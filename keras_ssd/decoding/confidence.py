"""The score from which on a trained detector's boxes are worth showing, and how it is known."""

import math
from dataclasses import dataclass, field
from typing import Any

DEFAULT = 0.5


@dataclass(frozen=True)
class Confidence:
    """A detector's own confidence threshold.

    Args:
        value: lowest score that is reported unless another one is asked for, 0..1.
        source: how it was found, in words.
        per_class: {class name: the same for this class alone}; classes without a threshold of their own are left out.

    Raises:
        ValueError: a threshold that is no number in 0..1.
    """

    value: float
    source: str = ""
    per_class: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in {"value": self.value, **self.per_class}.items():
            if isinstance(value, bool) or not (math.isfinite(value) and 0 <= value <= 1):
                raise ValueError(f"A confidence threshold must lie in 0..1. Received: {name}={value!r}")

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.source})" if self.source else f"{self.value:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"value": self.value, "source": self.source, "per_class": dict(self.per_class)}


def confidence_of(model: Any) -> Confidence:
    """The `Confidence` that applies to any model when nobody asks for another: its own, or the general one."""
    return getattr(model, "confidence", None) or Confidence(
        DEFAULT, "the general default; this model has none of its own"
    )
