"""Charts as SVG with the page's colours, for light and dark displays and for print."""

import math
from collections.abc import Iterable

import numpy as np
from markupsafe import Markup, escape

from keras_ssd.evaluation.analysis.calibration import Calibration
from keras_ssd.evaluation.analysis.working import WorkingPoint
from keras_ssd.evaluation.metrics.curves import Curve, best_from_here

_LEFT, _TOP, _SIDE, _HEIGHT = 35, 8, 160, 112
_POINTS = 80  # of a curve; more cannot be distinguished at this size


def precision_recall(lines: Iterable[tuple[int, Curve | None, WorkingPoint]], label: str) -> Markup:
    """Precision over recall.

    Args:
        lines: (colour from 1, `Curve` or None, `WorkingPoint`) of each detector.
        label: text alternative.
    """
    parts = []
    for number, curve, point in lines:
        if curve is None or not len(curve.recall):
            continue
        recall = np.linspace(0, curve.recall[-1], _POINTS)
        places = np.searchsorted(curve.recall, recall)
        best = best_from_here(curve.precision)[np.minimum(places, len(curve.recall) - 1)]
        path = " ".join(f"{_x(r):.1f},{_y(p):.1f}" for r, p in zip(recall, best, strict=True))
        parts.append(f'<polyline class="line run{number}" points="{path}"/>')
        if not math.isnan(point.threshold):
            x, y = _x(point.recall), _y(point.precision)
            parts.append(f'<circle class="dot run{number}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    return _framed(parts, label, "recall", "precision")


def reliability(calibration: Calibration, number: int, label: str) -> Markup:
    """The share of true detections by score, as bars; the diagonal is perfect calibration.

    Args:
        calibration: `Calibration`.
        number: the detector's colour, from 1.
        label: text alternative.
    """
    parts = [f'<line class="promise" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>']
    for low, high, score, true in zip(
        calibration.edges, calibration.edges[1:], calibration.scores, calibration.precision, strict=False
    ):
        if math.isnan(true):
            continue
        x, width = _x(low) + 1, _x(high) - _x(low) - 2
        parts.append(
            f'<rect class="bin run{number}" x="{x:.1f}" y="{_y(true):.1f}" width="{width:.1f}" '
            f'height="{_y(0) - _y(true):.1f}"/>'
            f'<circle class="dot run{number}" cx="{_x(score):.1f}" cy="{_y(true):.1f}" r="2.5"/>'
        )
    return _framed(parts, label, "score", "share true")


def _x(value):
    return _LEFT + value * _SIDE


def _y(value):
    return _TOP + (1 - value) * _HEIGHT


def _framed(parts, label, across, up):
    grid = []
    for value, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x, y = _x(value), _y(value)
        text = f"{value:g}"
        grid.append(f'<line x1="{x:.1f}" y1="{_y(0):.1f}" x2="{x:.1f}" y2="{_y(1):.1f}"/>')
        grid.append(f'<line x1="{_x(0):.1f}" y1="{y:.1f}" x2="{_x(1):.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{x:.1f}" y="{_y(0) + 13:.1f}" text-anchor="{anchor}">{text}</text>')
        grid.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    titles = (
        f'<text x="{_x(0.75):.1f}" y="{_y(0) + 13:.1f}" text-anchor="middle">{across}</text>'
        f'<text transform="translate(11 {_y(0.5):.1f}) rotate(-90)" text-anchor="middle">{up}</text>'
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 200 138" role="img" aria-label="{escape(label)}">'
        f'<g class="grid">{"".join(grid)}{titles}</g>{"".join(parts)}</svg>'
    )
