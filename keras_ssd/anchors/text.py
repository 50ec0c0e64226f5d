"""Tables as text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The lines of a table with a title line; texts are aligned to the left, numbers to the right."""
    cells = [[*rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    left = [isinstance(value, str) and not _is_number(value) for value in rows[0].values()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    )


def _cell(value):
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}".rstrip("0").rstrip(".") if value >= 10 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(text):
    return text.rstrip("%").replace(".", "", 1).isdigit()
