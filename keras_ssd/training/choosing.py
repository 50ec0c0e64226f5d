"""Which epoch of a training becomes `model.keras`."""

import math
from collections.abc import Sequence
from typing import Any

CLOSE = 0.005  # of AP: few images tell epochs apart less exactly than that


def kept_row(rows: Sequence[dict[str, Any]], start: float | None = None) -> dict[str, Any] | None:
    """The latest epoch whose AP is at most 0.005 below the highest; None where there is none.

    The highest of many close measurements is partly luck, and the averaged weights of a later epoch, at a lower
    learning rate, are better more often than not. docs/training_defaults.md has the trials.

    Args:
        rows: one dictionary per epoch, with "val_mAP" where it was measured.
        start: AP of the weights that the training began with; epochs below it do not count.
    """
    measured = [row for row in rows if math.isfinite(row.get("val_mAP", math.nan))]
    highest = max((row["val_mAP"] for row in measured), default=math.nan)
    enough = max(highest - CLOSE, 0.0 if start is None else start)
    return next((row for row in reversed(measured) if row["val_mAP"] >= enough), None)
