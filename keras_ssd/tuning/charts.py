"""Drawings of a search as SVG, in the colours of the page."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_ssd.tuning.space import value_text
from keras_ssd.tuning.study import TENTHS
from keras_ssd.tuning.trial import Trial

if TYPE_CHECKING:
    from markupsafe import Markup

_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 10, 12, 30
_EDGE, _ROOM = 0.04, 0.92  # of the width: what is left free at each side, and the rest


def curves(trials: Sequence[Trial], best: Trial | None) -> "Markup":
    """The AP of each trial over its schedule."""
    frame = _Frame(420, 220, top=_highest(trials))
    for share in range(0, 101, 20):
        frame.mark_x(_EDGE + _ROOM * share / 100, f"{share} %")
    for trial in sorted(trials, key=lambda one: one is best):  # the best one on top
        points = [(_EDGE + _ROOM * place / TENTHS, value) for place, value in trial.curve.items()]
        if points:
            frame.line(points, _kind(trial, best), f"trial {trial.number}")
            frame.dot(*points[-1], _kind(trial, best), _said(trial))
    return frame.drawn("AP of each trial over its schedule", "share of the schedule")


def in_order(trials: Sequence[Trial], best: Trial | None) -> "Markup":
    """The AP of each trial in the order in which they ran, and the best so far."""
    frame = _Frame(420, 220, top=_highest(trials))
    last, reached, steps = max(len(trials) - 1, 1), 0.0, []
    for place, trial in enumerate(trials):
        x = _EDGE + _ROOM * place / last
        if trial.ended == "complete" and (trial.ap or 0.0) > reached:
            steps.append((x, reached))
            reached = trial.ap or 0.0
        steps.append((x, reached))
        if len(trials) <= 12 or place % math.ceil(len(trials) / 12) == 0:
            frame.mark_x(x, str(trial.number))
    frame.line(steps, "run2", "best so far")
    for place, trial in enumerate(trials):
        if trial.ap is not None:
            frame.dot(_EDGE + _ROOM * place / last, trial.ap, _kind(trial, best), _said(trial))
    return frame.drawn("AP of the trials in order, and the best so far", "trial")


def by_setting(trials: Sequence[Trial], best: Trial | None, name: str, title: str) -> "Markup":
    """The AP of the trials over the values of one setting."""
    frame = _Frame(260, 190, top=_highest(trials))
    values = [trial.settings[name] for trial in trials]
    if name == "learning_rate":
        logs = [math.log(value) for value in values]
        low, high = min(logs), max(logs)
        places = [0.12 + 0.76 * (value - low) / ((high - low) or 1.0) for value in logs]
        frame.mark_x(0.12, value_text(name, math.exp(low)))
        if high > low:
            frame.mark_x(0.88, value_text(name, math.exp(high)))
    else:
        known = sorted(set(values), key=_rank)
        where = {value: (place + 0.5) / len(known) for place, value in enumerate(known)}
        places = [where[value] for value in values]
        for value, x in where.items():
            frame.mark_x(x, value_text(name, value))
    for x, trial in sorted(zip(places, trials, strict=True), key=lambda pair: pair[1] is best):
        if trial.ap is not None:
            frame.dot(x, trial.ap, _kind(trial, best), _said(trial))
    return frame.drawn(f"AP over {title}", title)


def _rank(value):
    """Sizes by their area, numbers by themselves, texts by the alphabet."""
    if isinstance(value, float):
        return 0, value, ""
    parts = str(value).split("x")
    sized = len(parts) == 2 and all(part.isdecimal() for part in parts)
    return 1, int(parts[0]) * int(parts[1]) if sized else 0, str(value)


def _highest(trials):
    """The upper end of the axis: a round number above every AP."""
    values = [value for trial in trials for value in (trial.ap, *trial.curve.values()) if value is not None]
    return min(1.0, max(0.1, math.ceil(10 * max(values, default=1.0)) / 10))


def _kind(trial, best):
    if best is not None and trial.number == best.number:
        return "run1"
    return "whole" if trial.ended == "complete" else "cut"


def _said(trial):
    value = "no AP" if trial.ap is None else f"AP {trial.ap:.3f}"
    return f"trial {trial.number}, {trial.ended}, {value}"


class _Frame:
    """A diagram of shares across and of AP upwards."""

    def __init__(self, width, height, top):
        self.width, self.height, self.top = width, height, top
        self.grid, self.parts = [], []
        for step in range(6):
            value = top * step / 5
            y = self._y(value)
            self.grid.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{width - _RIGHT}" y2="{y:.1f}"/>')
            self.grid.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>')

    def mark_x(self, share, text):
        x, y = self._x(share), self.height - _BOTTOM
        self.grid.append(f'<text x="{x:.1f}" y="{y + 13:.1f}" text-anchor="middle">{_escaped(text)}</text>')

    def line(self, points, kind, label):
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline class="line {kind}" points="{path}"><title>{_escaped(label)}</title></polyline>')

    def dot(self, x, y, kind, label):
        self.parts.append(
            f'<circle class="dot {kind}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="4">'
            f"<title>{_escaped(label)}</title></circle>"
        )

    def drawn(self, label, across):
        from markupsafe import Markup

        x, y = (_LEFT + self.width - _RIGHT) / 2, self.height - 4
        title = f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{_escaped(across)}</text>'
        return Markup(
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{_escaped(label)}">'
            f'<g class="grid">{"".join(self.grid)}{title}</g>{"".join(self.parts)}</svg>'
        )

    def _x(self, share):
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def _y(self, value):
        return _TOP + (1 - value / self.top) * (self.height - _TOP - _BOTTOM)


def _escaped(text):
    from markupsafe import escape

    return escape(text)
