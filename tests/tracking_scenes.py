"""Scenes with boxes, true tracks and the tracks of another program, for tests of tracking."""

import json
from pathlib import Path

import numpy as np

from keras_ssd.detections import Detections

FOLDER = Path(__file__).parent / "reference" / "tracking"
REFERENCE = json.loads((FOLDER / "measures.json").read_text())
SCENES = ("street", "crowd", "few")
NAMES = ("car", "person", "dog")
SIZE_HW = (480, 640)


def scene(name):
    """{array: values} of one scene."""
    with np.load(FOLDER / "scenes.npz") as arrays:
        return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def frames_of(arrays, frames="frames", boxes="boxes", scores=None, classes=None, ids=None):
    """`Detections` of each frame, from arrays of a scene."""
    for frame, _ in enumerate(arrays["times"]):
        rows = arrays[frames] == frame
        count = rows.sum()
        yield Detections(
            arrays[boxes][rows],
            np.ones(count) if scores is None else arrays[scores][rows],
            np.zeros(count, int) if classes is None else arrays[classes][rows],
            NAMES,
            SIZE_HW,
            track_ids=None if ids is None else ids[rows],
            frame=frame,
        )


def detected(arrays):
    return list(frames_of(arrays, scores="scores", classes="classes"))


def truth(arrays):
    return list(frames_of(arrays, "truth_frames", "truth_boxes", ids=arrays["truth_ids"]))
