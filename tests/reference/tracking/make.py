"""Makes scenes.npz and measures.json: python make.py, in an environment with `trackers` 2.6 and nothing of this project.

The scenes are objects on straight and curved ways that cross; some are hidden for a while, some boxes are missing, too
many, or have low scores.
"""

import json

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker
from trackers.eval.clear import aggregate_clear_metrics, compute_clear_metrics
from trackers.eval.hota import aggregate_hota_metrics, compute_hota_metrics
from trackers.eval.identity import aggregate_identity_metrics, compute_identity_metrics

OPTIONS = {
    "defaults": {},
    "one_frame": {"minimum_consecutive_frames": 1, "track_activation_threshold": 0.4, "high_conf_det_threshold": 0.3},
    "slow": {"frame_rate": 10.0, "lost_track_buffer": 20, "minimum_iou_threshold": 0.3},
    "no_buffer": {"lost_track_buffer": 0, "minimum_consecutive_frames": 3},
    "timed": {"frame_rate": 25.0, "lost_track_buffer": 25, "high_conf_det_threshold": 0.5},
}


def scene(seed, objects, frames, size=(640, 480)):
    """Truth and detections: for each frame (ids, boxes) and (boxes, scores, classes)."""
    rng = np.random.default_rng(seed)
    begin = rng.uniform(0, size, (objects, 2))
    ways = rng.uniform(-4, 4, (objects, 2))
    curves = rng.uniform(0, 25, (objects, 1)) * np.array([[1, 0.6]])
    sides = rng.uniform(25, 90, (objects, 2))
    hidden = [(rng.integers(10, frames - 10), rng.integers(1, 45)) for _ in range(objects)]
    truth, found = [], []
    for frame in range(frames):
        middles = begin + ways * frame + curves * np.sin(frame / 17 + np.arange(objects))[:, None]
        middles = np.abs((middles % (2 * np.array(size))) - np.array(size))  # they turn at the edges
        boxes = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)
        there = np.array([not start <= frame < start + length for start, length in hidden])
        truth.append((np.arange(objects)[there] + 1, boxes[there]))
        seen = there & (rng.random(objects) > 0.06)
        noisy = boxes[seen] + rng.normal(0, 1.5, (seen.sum(), 4))
        crowded = np.array([np.min(np.abs(np.delete(middles, i, 0) - middles[i]).sum(1)) for i in np.flatnonzero(seen)])
        scores = np.clip(rng.normal(0.85, 0.1, seen.sum()) - 0.5 * (crowded < 40), 0.11, 0.99)
        extra = rng.poisson(0.4)
        corners = rng.uniform(0, size, (extra, 2))
        noisy = np.concatenate([noisy, np.concatenate([corners, corners + rng.uniform(10, 80, (extra, 2))], 1)])
        scores = np.concatenate([scores, rng.uniform(0.1, 0.9, extra)])
        order = np.argsort(-scores)
        classes = np.concatenate([np.flatnonzero(seen) % 3, rng.integers(0, 3, extra)])
        found.append((noisy[order].astype(np.float32), scores[order].astype(np.float32), classes[order]))
    return truth, found


def tracked(found, options, times):
    """The track of each detection, in their order; -1 for none."""
    tracker = ByteTrackTracker(**options)
    ids = []
    for (boxes, scores, _), time in zip(found, times, strict=True):
        given = sv.Detections(xyxy=boxes, confidence=scores, data={"place": np.arange(len(boxes))})
        told = tracker.update(given, timestamp=time)
        mine = np.full(len(boxes), -1)
        if len(told):
            mine[told.data["place"]] = told.tracker_id
        ids.append(mine)
    return ids


def measures(truth, found, ids):
    """(Ids of the objects, ids of the tracks, overlaps) of each frame."""
    gt, tracks, overlaps = [], [], []
    for (true_ids, boxes), (given, _, _), mine in zip(truth, found, ids, strict=True):
        kept = mine >= 0
        gt.append(true_ids)
        tracks.append(mine[kept] + 1)
        overlap = np.zeros((len(boxes), kept.sum()))
        if overlap.size:
            overlap = iou(boxes.astype(np.float32).astype(float), given[kept].astype(float))
        overlaps.append(overlap)
    return gt, tracks, overlaps


def iou(a, b):
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1)[:, None] + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return inter / (areas - inter)


def plain(values):
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}


def main():
    arrays, told = {}, {}
    rng = np.random.default_rng(9)
    per_scene = []
    for name, objects, frames in (("street", 8, 160), ("crowd", 22, 120), ("few", 3, 200)):
        truth, found = scene(len(name), objects, frames)
        if name == "few":  # frames without anything, too
            found[40:50] = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))] * 10
        times = np.cumsum(rng.choice([0.04, 0.04, 0.04, 0.08, 0.2], frames))
        arrays[f"{name}/truth_frames"] = np.repeat(np.arange(frames), [len(ids) for ids, _ in truth])
        arrays[f"{name}/truth_ids"] = np.concatenate([ids for ids, _ in truth])
        arrays[f"{name}/truth_boxes"] = np.concatenate([boxes for _, boxes in truth]).astype(np.float32)
        arrays[f"{name}/frames"] = np.repeat(np.arange(frames), [len(boxes) for boxes, _, _ in found])
        arrays[f"{name}/boxes"] = np.concatenate([boxes for boxes, _, _ in found])
        arrays[f"{name}/scores"] = np.concatenate([scores for _, scores, _ in found])
        arrays[f"{name}/classes"] = np.concatenate([classes for _, _, classes in found])
        arrays[f"{name}/times"] = times
        for option, values in OPTIONS.items():
            ids = tracked(found, values, times if option == "timed" else [None] * frames)
            arrays[f"{name}/ids/{option}"] = np.concatenate(ids)
            if option == "defaults":
                given = measures(truth, found, ids)
                rows = (compute_hota_metrics(*given), compute_clear_metrics(*given), compute_identity_metrics(*given))
                per_scene.append(rows)
                told[name] = {key: value for row in rows for key, value in plain(row).items()}
    hota, clear, identity = zip(*per_scene, strict=True)
    rows = (aggregate_hota_metrics(hota), aggregate_clear_metrics(clear), aggregate_identity_metrics(identity))
    told["all"] = {key: value for row in rows for key, value in plain(row).items()}
    np.savez_compressed("scenes.npz", **arrays)
    with open("measures.json", "w") as file:
        json.dump({"options": OPTIONS, "measures": told}, file, indent=1)


if __name__ == "__main__":
    main()
