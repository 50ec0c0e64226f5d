"""COCO's twelve numbers as plain loops, written from the description on cocodataset.org."""

import numpy as np
from measure_tables import naive_iou

AREAS = {"": (0, 1e10), "s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, 1e10)}
THRESHOLDS = [k / 100 for k in range(50, 100, 5)]


def naive_coco(found, truth):
    """Dictionary of the twelve numbers, and (C,) average precision of each class; NaN where there is no object."""
    classes = range(len(truth.class_names))
    tables = {
        (c, size, most): [_class(found, truth, c, area, most, threshold) for threshold in THRESHOLDS]
        for c in classes
        for size, area in AREAS.items()
        for most in ((1, 10, 100) if not size else (100,))
    }

    def mean(what, size="", most=100, thresholds=THRESHOLDS, some=classes):
        cells = [tables[c, size, most][THRESHOLDS.index(t)] for c in some for t in thresholds]
        values = [np.mean(cell[what]) for cell in cells if cell is not None]
        return np.mean(values) if values else np.nan

    numbers = {
        "AP": mean(0),
        "AP50": mean(0, thresholds=[0.5]),
        "AP75": mean(0, thresholds=[0.75]),
        **{f"AP{size}": mean(0, size) for size in "sml"},
        **{f"AR{most}": mean(1, most=most) for most in (1, 10, 100)},
        **{f"AR{size}": mean(1, size) for size in "sml"},
    }
    return numbers, np.array([mean(0, some=[c]) for c in classes])


def _class(found, truth, c, area, most, threshold):
    """Precision at 101 recalls and the highest recall, or None without objects."""
    rows, wanted = [], 0
    for p in range(len(truth.images)):
        objects = [j for j in range(len(truth)) if truth.image[j] == p and truth.class_ids[j] == c]
        crowd = {j for j in objects if truth.crowd[j] or truth.difficult[j]}
        ignored = crowd | {j for j in objects if not area[0] <= truth.areas[j] <= area[1]}
        wanted += len(objects) - len(ignored)
        detections = [i for i in range(len(found)) if found.image[i] == p and found.class_ids[i] == c]
        taken = set()
        for i in sorted(detections, key=lambda i: -found.scores[i])[:most]:
            box = found.boxes_xyxy[i].astype(float).tolist()
            choice, best = None, threshold
            for group in (set(objects) - ignored, ignored):  # objects outside the size only where no other fits
                for j in sorted(group):
                    overlap = naive_iou(box, truth.boxes_xyxy[j].astype(float).tolist(), crowd=j in crowd)
                    if (j not in taken or j in crowd) and overlap >= best:
                        choice, best = j, overlap
                if choice is not None:
                    break
            taken.add(choice)
            size = (box[2] - box[0]) * (box[3] - box[1])
            outside = choice is None and not area[0] <= size <= area[1]
            if choice not in ignored and not outside:
                rows.append((found.scores[i], choice is not None))
    if not wanted:
        return None
    rows.sort(key=lambda row: -row[0])
    true = np.cumsum([row[1] for row in rows])
    precision = true / np.arange(1, len(rows) + 1)
    recall = true / wanted
    at = [max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)]
    return at, (recall[-1] if len(rows) else 0.0)
