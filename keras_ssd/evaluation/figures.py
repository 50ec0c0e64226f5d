"""Numbers as text, for results, reports and the terminal."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_ssd.evaluation.analysis.comparing import Interval

NOT_APPLICABLE = "n/a"


def number(value: float) -> str:
    """A whole number with a thin space between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def figure(value: float, digits: int = 3) -> str:
    """0.909, or "n/a" for NaN."""
    return NOT_APPLICABLE if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """+0.012, −0.003, 0.000, or "n/a"."""
    text = figure(abs(value), digits)
    if text == NOT_APPLICABLE or not float(text):
        return text
    return ("+" if value > 0 else "\u2212") + text


def bounds(interval: "Interval") -> str:
    """ "−0.012 to +0.003", with one more digit if rounding would turn a bound other than 0 into 0."""
    digits = 4 if interval.apart and min(abs(interval.low), abs(interval.high)) < 0.0005 else 3
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def percent(part: float, whole: float) -> str:
    """14 %, or "n/a" if the whole is 0; "below 1 %" and "above 99 %" instead of 0 % for some and 100 % for not all."""
    if not whole:
        return NOT_APPLICABLE
    share = 100 * part / whole
    if 0 < share < 1:
        return "below 1\u00a0%"
    if 99 < share < 100:
        return "above 99\u00a0%"
    return f"{share:.0f}\u00a0%"


def counted(count: int, one: str, many: str | None = None) -> str:
    """1 image, 2 images."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
