"""The confidence threshold of a trained detector, and how it was found."""

import math
from dataclasses import dataclass
from typing import Any

DEFAULT = 0.5


@dataclass(frozen=True)
class Confidence:
    """A detector's own confidence threshold.

    Args:
        value: lowest score that is reported, 0..1, unless a caller gives another threshold.
        source: how it was found, in words.

    Raises:
        ValueError: a threshold is not in 0..1.
    """

    value: float
    source: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not (math.isfinite(self.value) and 0 <= self.value <= 1):
            raise ValueError(f"A confidence threshold must lie in 0..1. Received: value={self.value!r}")

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.source})" if self.source else f"{self.value:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"value": self.value, "source": self.source}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "Confidence":
        """Rebuilds a `Confidence` from `to_dict`'s output."""
        return cls(told["value"], told.get("source", ""))


def confidence_of(model: Any) -> Confidence:
    """The `Confidence` of a model: its own, or the general default."""
    return getattr(model, "confidence", None) or Confidence(
        DEFAULT, "the general default; this model has none of its own"
    )
