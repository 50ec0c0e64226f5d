"""Drawing on the frames of a video: boxes in colours that stay, the ways of objects, counting lines and zones."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL.Image import Image as PILImage

from keras_ssd.detections import Detections
from keras_ssd.drawing import PALETTE, Label, draw_boxes, draw_detections, text_colour
from keras_ssd.tracking import CountLine, CountZone

TRACE_SECONDS = 2.0
_FORGOTTEN = 10.0  # seconds without a box after which a trace is dropped
_FORM = "#FFFFFF"  # of lines and zones


class TrackDrawing:
    """Draws the frames of one video, one after the other.

    A track keeps its colour, whatever its class and its place among the others, and its label has no score, so nothing
    flickers.

    Args:
        lines, zones: counts that are drawn with their numbers.
        trace: seconds of an object's way that are drawn behind it; 0 for none.
        labels: whether boxes get a label.

    Example:
        >>> drawing = TrackDrawing(lines=[line])
        >>> for found in model.track("street.mp4"):
        ...     line.update(found)
        ...     image = drawing.draw(drawing.prepare(found))
    """

    def __init__(
        self,
        *,
        lines: Sequence[CountLine] = (),
        zones: Sequence[CountZone] = (),
        trace: float = TRACE_SECONDS,
        labels: bool = True,
    ) -> None:
        self._lines, self._zones, self._trace, self._labels = tuple(lines), tuple(zones), trace, labels
        self._ways: dict[int, collections.deque[tuple[float, tuple[float, float]]]] = {}

    def prepare(self, detections: Detections) -> "Drawn":
        """What is to be drawn on a frame, with the counts and ways of this moment.

        To be called for one frame after the other; `draw` may then run in any thread.
        """
        counts = [(line.start, line.end, f"{line.left} left, {line.right} right") for line in self._lines]
        zones = [(zone.corners, f"{zone.now} now, {zone.total} in all") for zone in self._zones]
        return Drawn(detections, self._ways_now(detections), counts, zones)

    def _ways_now(self, detections):
        """[(track, its last places)] of the tracks in a frame."""
        if detections.track_ids is None or not self._trace:
            return []
        now = detections.time or 0.0
        boxes = detections.boxes_xyxy.astype(float)
        for track, box in zip(detections.track_ids.tolist(), boxes.tolist(), strict=True):
            if track > 0:
                way = self._ways.setdefault(track, collections.deque())
                way.append((now, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)))
        for track in [track for track, way in self._ways.items() if way[-1][0] < now - _FORGOTTEN]:
            del self._ways[track]
        found = []
        for track in detections.track_ids[detections.track_ids > 0].tolist():
            way = self._ways[track]
            while way[0][0] < now - self._trace:
                way.popleft()
            found.append((track, [place for _, place in way]))
        return found

    def draw(self, prepared: "Drawn", image: Any = None) -> PILImage:
        """A new PIL image of the frame.

        Args:
            prepared: of `prepare`.
            image: (H, W, 3) uint8 RGB array to draw on; by default the frame's own.
        """
        from PIL import Image, ImageDraw

        found = prepared.detections
        image = np.asarray(found.image if image is None else image)
        if prepared.ways or prepared.lines or prepared.zones:
            below = Image.fromarray(image)
            pen, width = ImageDraw.Draw(below), max(2, round((image.shape[0] * image.shape[1]) ** 0.5 / 250))
            _draw_ways(pen, prepared.ways, width)
            _draw_forms(pen, prepared, width)
            image = np.asarray(below)
        drawn = self._with_boxes(image, found)
        _write_counts(ImageDraw.Draw(drawn), prepared, image.shape[:2])  # last, so that nothing hides them
        return drawn

    def _with_boxes(self, image, found):
        if found.track_ids is None:
            return draw_detections(image, found, labels=self._labels)
        tracks = found.track_ids.tolist()
        texts = None
        if self._labels:
            names = zip(found.names, tracks, strict=True)
            texts = [Label(f"{name} {track}", str(track)) if track > 0 else Label(name) for name, track in names]
        return draw_boxes(image, found.boxes_xyxy, [track_colour(track) for track in tracks], texts)


class Drawn:
    """What is to be drawn on one frame.

    Args:
        detections: `Detections` of the frame.
        ways: [(track, [(x, y)])].
        lines: [(start, end, text)].
        zones: [(corners, text)].
    """

    def __init__(self, detections: Detections, ways: list[Any], lines: list[Any], zones: list[Any]) -> None:
        self.detections, self.ways, self.lines, self.zones = detections, ways, lines, zones


def track_colour(track: int) -> str:
    """ "#RRGGBB" of a track, the same in every frame and run; grey for -1."""
    return PALETTE[(track - 1) % len(PALETTE)] if track > 0 else "#A0A0A0"


def _draw_ways(pen, ways, width):
    for track, places in ways:
        if len(places) > 1:
            pen.line(places, fill="#000000", width=width + 2, joint="curve")
            pen.line(places, fill=track_colour(track), width=width, joint="curve")


def _draw_forms(pen, prepared, width):
    """Lines and the outlines of zones."""
    forms = [[start, end] for start, end, _ in prepared.lines]
    forms += [[*corners, corners[0]] for corners, _ in prepared.zones]
    for places in forms:
        pen.line(places, fill="#000000", width=width + 2, joint="curve")
        pen.line(places, fill=_FORM, width=width, joint="curve")


def _write_counts(pen, prepared, size_hw):
    from PIL import ImageFont

    font = ImageFont.load_default(max(10, round((size_hw[0] * size_hw[1]) ** 0.5 / 34)))
    for start, end, text in prepared.lines:
        _write(pen, np.mean([start, end], axis=0), text, font, size_hw)
    for corners, text in prepared.zones:
        _write(pen, np.mean(corners, axis=0), text, font, size_hw)


def _write(pen, middle, text, font, size_hw):
    """A text around a place, inside the image."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = float(np.clip(middle[0] - (right - left) / 2, 2, max(2, size_hw[1] - right - 2)))
    y = float(np.clip(middle[1] - (bottom - top) / 2, 2, max(2, size_hw[0] - bottom - 2)))
    pen.rectangle((x + left - 2, y + top - 2, x + right + 2, y + bottom + 2), fill=_FORM)
    pen.text((x, y), text, fill=text_colour(_FORM), font=font)
