"""SSD's loss once more, as loops over images and anchors in float64, one obvious step after the other."""

import math

import numpy as np

from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.box_coder import Predictions


def cross_entropy(
    scores, true, *, confidence, from_logits, label_smoothing, focal_gamma, focal_alpha, score_background
):
    """What one anchor pays for its scores."""
    columns = len(scores)
    if confidence == "softmax":
        p = scores if not from_logits else np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        loss = -(1 - label_smoothing) * math.log(p[true]) - label_smoothing * np.log(p).sum() / columns
        alpha = 1 if focal_alpha is None else focal_alpha if true else 1 - focal_alpha
        return alpha * loss * (1 - p[true]) ** focal_gamma
    total = 0.0
    for column in range(columns):
        if column == 0 and (scores[0] == -10000 or not score_background):  # the net has no background
            continue
        p = 1 / (1 + math.exp(-scores[column])) if from_logits else scores[column]
        wanted = float(column == true)
        smooth = wanted * (1 - label_smoothing) + label_smoothing / 2
        loss = -smooth * math.log(p) - (1 - smooth) * math.log(1 - p)
        alpha = 1 if focal_alpha is None else focal_alpha if wanted else 1 - focal_alpha
        total += alpha * loss * (1 - (p if wanted else 1 - p)) ** focal_gamma
    return total


def box_distance(kind, a, b, c):
    """One minus GIoU, DIoU or CIoU of two boxes (xmin, ymin, xmax, ymax); `c` stands for `a` in CIoU's weight."""
    iou = float(bx.iou(a, b))
    hull = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
    if kind == "giou":
        shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        union = bx.area(a) + bx.area(b) - shared
        around = (hull[2] - hull[0]) * (hull[3] - hull[1])
        return 1 - iou + (around - union) / around
    diagonal = (hull[2] - hull[0]) ** 2 + (hull[3] - hull[1]) ** 2
    loss = 1 - iou + sum(((a[i] + a[i + 2]) - (b[i] + b[i + 2])) ** 2 for i in (0, 1)) / 4 / diagonal
    if kind == "diou":
        return loss

    def shape(x):
        return 4 / math.pi**2 * (math.atan2(b[2] - b[0], b[3] - b[1]) - math.atan2(x[2] - x[0], x[3] - x[1])) ** 2

    weight = shape(c) / (1 - float(bx.iou(c, b)) + shape(c))
    return loss + weight * shape(a)


def distance(kind, predicted, wanted, decode, constant):
    """What one positive anchor pays for its offsets."""
    if kind in ("giou", "diou", "ciou"):
        return box_distance(kind, decode(predicted), decode(wanted), decode(constant))
    total = 0.0
    for d in predicted - wanted:
        if kind == "l2":
            total += d * d / 2
        elif kind == "l1":
            total += abs(d)
        else:
            total += d * d / 2 if abs(d) < 1 else abs(d) - 0.5
    return total


def negatives_of(losses, class_ids, mining, ratio, least, negative_images):
    """Set of (image, anchor) that count as negatives."""
    images, anchors = class_ids.shape
    if negative_images is None:
        negative_images = "ignore" if mining == "image" else "mine"
    positives = [int((class_ids[b] > 0).sum()) for b in range(images)]
    pool = [
        [(losses[b, n], b, n) for n in range(anchors) if class_ids[b, n] == 0]
        if positives[b] or negative_images == "mine"
        else []
        for b in range(images)
    ]
    if mining is None:
        return {(b, n) for row in pool for _, b, n in row}
    if mining == "batch":
        groups = [([item for row in pool for item in row], sum(positives))]
    else:
        groups = [(pool[b], max(positives[b], 1)) for b in range(images)]
    chosen = set()
    for row, count in groups:
        hardest = sorted(row, reverse=True)[: max(int(ratio * count), least)]
        chosen |= {(b, n) for _, b, n in hardest}
    return chosen


def naive_loss(
    y_true,
    y_pred,
    *,
    from_logits=True,
    confidence="softmax",
    localization="smooth_l1",
    alpha=1.0,
    mining="image",
    neg_pos_ratio=3.0,
    n_neg_min=0,
    negative_images=None,
    normalization="valid",
    label_smoothing=0.0,
    focal_gamma=0.0,
    focal_alpha=None,
    class_weights=None,
    score_background=True,
    code_type="center_size",
    variance_encoded_in_target=False,
    constants_of=None,
):
    """The loss, and each image's part of it; arguments of `SSDLoss`, targets compact.

    What no gradient flows through (negatives, CIoU's weight) is taken from the predictions `constants_of`.
    """
    parts = Predictions.split(y_pred.astype(np.float64))
    fixed = Predictions.split((y_pred if constants_of is None else constants_of).astype(np.float64))
    class_ids, offsets = y_true[..., 0].astype(int), y_true[..., 1:].astype(np.float64)
    images, anchors = class_ids.shape
    options = {
        "confidence": confidence,
        "from_logits": from_logits,
        "label_smoothing": label_smoothing,
        "focal_gamma": focal_gamma,
        "focal_alpha": focal_alpha,
        "score_background": score_background,
    }
    losses = np.zeros(class_ids.shape)
    for b, n in np.ndindex(*class_ids.shape):
        losses[b, n] = cross_entropy(fixed.logits[b, n], max(class_ids[b, n], 0), **options)
    negatives = negatives_of(losses, class_ids, mining, neg_pos_ratio, n_neg_min, negative_images)
    result = np.zeros(images)
    for b, n in np.ndindex(*class_ids.shape):
        true = class_ids[b, n]
        if true > 0 or (b, n) in negatives:
            weight = class_weights[true - 1] if class_weights and true > 0 else 1
            result[b] += weight * cross_entropy(parts.logits[b, n], max(true, 0), **options)
        if true > 0:

            def decode(x, b=b, n=n):
                return box_coder.decode(
                    x,
                    parts.anchors_cxcywh[b, n],
                    parts.variances[b, n],
                    code_type=code_type,
                    variance_encoded_in_target=variance_encoded_in_target,
                )

            result[b] += alpha * distance(localization, parts.offsets[b, n], offsets[b, n], decode, fixed.offsets[b, n])
    positives = int((class_ids > 0).sum())
    total = {"valid": max(positives, 1), "full": images * anchors, "batch_size": images, "none": 1}[normalization]
    return result.sum() / total, result / total
