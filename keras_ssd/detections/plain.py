"""`Detections` as plain numbers and strings, for JSON, and as a table for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ssd.detections.checks import shortest


def to_plain(detections: Any) -> dict[str, Any]:
    """The dictionary of `Detections.to_dict`."""
    columns = (detections.names, detections.class_ids, detections.scores, detections.boxes_xyxy)
    rows = [
        {"name": name, "class_id": int(class_id), "score": shortest(score), "box_xyxy": [*map(shortest, box)]}
        for name, class_id, score, box in zip(*columns, strict=True)
    ]
    if detections.track_ids is not None:
        rows = [{"track_id": track, **row} for track, row in zip(detections.track_ids.tolist(), rows, strict=True)]
    places = {"frame": detections.frame, "time": detections.time}
    return {
        "source": detections.source,
        **{name: value for name, value in places.items() if value is not None},
        "height": detections.size_hw[0],
        "width": detections.size_hw[1],
        "class_names": list(detections.class_names),
        "detections": rows,
    }


def from_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Detections` in a dictionary of `to_plain`.

    Raises:
        ValueError: a key is missing.
    """
    try:
        rows = values["detections"]
        tracked = [row["track_id"] for row in rows if "track_id" in row]
        return {
            "boxes_xyxy": np.array([row["box_xyxy"] for row in rows], np.float32).reshape(-1, 4),
            "scores": np.array([row["score"] for row in rows], np.float32),
            "class_ids": np.array([row["class_id"] for row in rows], int),
            "class_names": values["class_names"],
            "size_hw": (values["height"], values["width"]),
            "source": values.get("source"),
            "track_ids": np.array(tracked, int) if tracked else None,
            "frame": values.get("frame"),
            "time": values.get("time"),
        }
    except KeyError as error:
        raise ValueError(
            f"from_dict expects a dictionary as Detections.to_dict makes it. Missing key: {error}"
        ) from None


def table(detections: Any) -> str:
    """The text of `print(detections)`."""
    height, width = detections.size_hw
    place = detections.source or "image"
    if detections.frame is not None:
        place += f", frame {detections.frame}"
    if detections.time is not None:
        place += f", {detections.time:.2f} s"
    title = f"{place} ({width} x {height}): {len(detections) or 'nothing'} found"
    if not len(detections):
        return title
    longest = max(5, *(len(name) for name in detections.names))
    tracks = detections.track_ids
    head = "  track" if tracks is not None else ""
    lines = [title, f"{head}  {'class':{longest}}  score    xmin    ymin    xmax    ymax"]
    for row, (name, score, box, _) in enumerate(detections):
        track = "" if tracks is None else f"  {tracks[row] if tracks[row] > 0 else '-':>5}"
        lines.append(f"{track}  {name:{longest}}  {score:5.2f}" + "".join(f"{side:8.1f}" for side in box))
    return "\n".join(lines)
