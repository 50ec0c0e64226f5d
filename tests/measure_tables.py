"""Tables of detections and objects for the tests of measures, and the measures once more as plain loops."""

import numpy as np

from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

COLUMNS = ("image", "class_ids", "scores")


def object_table(objects, images=1, classes=1, size_hw=(200, 300)):
    """An `ObjectTable` of (image, class id, box, flags...) with flags out of "difficult", "truncated", "crowd"."""
    boxes = np.array([row[2] for row in objects], float).reshape(-1, 4)
    flags = {name: [name in row[3:] for row in objects] for name in ("difficult", "truncated", "crowd")}
    return ObjectTable(
        tuple(f"p{i}" for i in range(images)),
        tuple(f"c{i}" for i in range(classes)),
        [size_hw] * images,
        [row[0] for row in objects],
        [row[1] for row in objects],
        boxes,
        areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
        **flags,
    )


def detection_table(detections, images=1, classes=1):
    """A `DetectionTable` of (image, class id, score, box)."""
    return DetectionTable(
        tuple(f"p{i}" for i in range(images)),
        tuple(f"c{i}" for i in range(classes)),
        [row[0] for row in detections],
        [row[1] for row in detections],
        [row[2] for row in detections],
        np.array([row[3] for row in detections], float).reshape(-1, 4),
    )


def random_tables(seed, images=6, classes=3, objects=4, detections=14, ties=True):
    """A pair of tables on a coarse grid, where equal overlaps are common, with difficult objects and crowds."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        low = rng.integers(0, 12, (count, 2)) * 4
        return np.concatenate([low, low + rng.integers(1, 8, (count, 2)) * rng.choice([4, 16])], axis=1)

    truth = [
        (p, int(rng.integers(classes)), box, *rng.choice(["", "", "", "difficult", "crowd"], 1))
        for p in range(images)
        for box in boxes(rng.integers(0, objects + 1))
    ]
    truth.append((0, 0, (0, 0, 40, 20)))
    found = []
    for p in range(images):
        own = [row[2] for row in truth if row[0] == p]
        for box in boxes(rng.integers(0, detections + 1)):
            near = own and rng.random() < 0.7
            jitter = rng.integers(-1, 2, 4) * [4, 4, 8, 8] + [0, 0, 8, 8]
            drawn = np.asarray(own[rng.integers(len(own))]) + jitter if near else box
            drawn = np.concatenate([drawn[:2], np.maximum(drawn[:2], drawn[2:])])
            found.append([p, int(rng.integers(classes)), 0, drawn])
    scores = rng.integers(1, 6, len(found)) / 8 if ties else (1 + rng.permutation(len(found))) / (len(found) + 1)
    for row, score in zip(found, scores, strict=True):
        row[2] = score
    return detection_table(found, images, classes), object_table(truth, images, classes)


def naive_iou(a, b, extra=0, crowd=False):
    """Overlap of two boxes; with a crowd b, the share of a inside."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    area_a, area_b = ((c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b))
    return width * height / (area_a if crowd else area_a + area_b - width * height)


def by_score(found, keep):
    """Rows of a table that pass, the best first; of equal ones the earlier."""
    return sorted((i for i in range(len(found)) if keep(i)), key=lambda i: -found.scores[i])


def naive_voc(found, truth, iou_threshold=0.5, extra=0):
    """(C,) average precision as VOCevaldet.m and VOCap.m have it: by 11 points, and by area."""
    points, areas = [], []
    for c in range(len(truth.class_names)):
        seen, verdicts = set(), []
        for i in by_score(found, lambda i, c=c: found.class_ids[i] == c):
            best, which = -np.inf, None
            for j in range(len(truth)):
                if truth.image[j] == found.image[i] and truth.class_ids[j] == c:
                    overlap = naive_iou(found.boxes_xyxy[i].tolist(), truth.boxes_xyxy[j].tolist(), extra)
                    if overlap > best:
                        best, which = overlap, j
            if best >= iou_threshold and (truth.difficult[which] or truth.crowd[which]):
                continue
            verdicts.append(best >= iou_threshold and which not in seen)
            seen |= {which} if best >= iou_threshold else set()
        wanted = sum((truth.class_ids == c) & ~truth.difficult & ~truth.crowd)
        points.append(naive_points(verdicts, wanted, [k * 0.1 for k in range(11)]))
        areas.append(naive_area(verdicts, wanted))
    return np.array(points), np.array(areas)


def naive_ilsvrc(found, truth, extra=0):
    """(C,) average precision as ILSVRC's eval_detection.m has it, which knows no difficult objects."""
    values = []
    for c in range(len(truth.class_names)):
        taken, verdicts = set(), []
        for i in by_score(found, lambda i, c=c: found.class_ids[i] == c):
            best, which = -np.inf, None
            for j in range(len(truth)):
                if truth.image[j] != found.image[i] or truth.class_ids[j] != c or j in taken:
                    continue
                x0, y0, x1, y1 = truth.boxes_xyxy[j].tolist()
                w, h = x1 - x0 + extra, y1 - y0 + extra
                overlap = naive_iou(found.boxes_xyxy[i].tolist(), (x0, y0, x1, y1), extra)
                if overlap > 0 and overlap >= min(0.5, w * h / ((w + 10) * (h + 10))) and overlap > best:
                    best, which = overlap, j
            verdicts.append(which is not None)
            taken |= {which} - {None}
        values.append(naive_area(verdicts, sum(truth.class_ids == c)))
    return np.array(values)


def naive_points(verdicts, wanted, recalls):
    """The mean over recalls of the highest precision at that recall or more."""
    if not wanted:
        return np.nan
    total = 0
    for recall in recalls:
        reached = [sum(verdicts[:k]) / k for k in range(1, len(verdicts) + 1) if sum(verdicts[:k]) / wanted >= recall]
        total += max(reached, default=0)
    return total / len(recalls)


def naive_area(verdicts, wanted):
    """The area below precision that was made to fall with recall."""
    if not wanted:
        return np.nan
    recall = [0, *(sum(verdicts[:k]) / wanted for k in range(1, len(verdicts) + 1)), 1]
    precision = [0, *(sum(verdicts[:k]) / k for k in range(1, len(verdicts) + 1)), 0]
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    return sum((recall[k] - recall[k - 1]) * precision[k] for k in range(1, len(recall)))
