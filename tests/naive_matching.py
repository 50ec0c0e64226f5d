"""Matching as its sources write it: loops over single anchors and objects, in float32; slow and plain."""

import numpy as np

F = np.float32
NEUTRAL = -2


def iou(anchor, box):
    """weiliu89/caffe, bbox_util.cpp, JaccardOverlap."""
    if box[0] > anchor[2] or box[2] < anchor[0] or box[1] > anchor[3] or box[3] < anchor[1]:
        return F(0)
    width = min(anchor[2], box[2]) - max(anchor[0], box[0])
    height = min(anchor[3], box[3]) - max(anchor[1], box[1])
    if not (width > 0 and height > 0):
        return F(0)
    inter = width * height
    return inter / ((anchor[2] - anchor[0]) * (anchor[3] - anchor[1]) + (box[2] - box[0]) * (box[3] - box[1]) - inter)


def iou_table(anchors, boxes, ignore_cross_boundary=False):
    """(N, M)"""
    table = np.zeros((len(anchors), len(boxes)), F)
    for i, anchor in enumerate(anchors):
        if ignore_cross_boundary and any(side < 0 or side > 1 for side in anchor):
            continue
        for j, box in enumerate(boxes):
            table[i, j] = iou(anchor, box)
    return table


def caffe(table, rules):
    """MatchBBox: returns object_of_anchor."""
    count, objects = table.shape
    owner = [-1] * count
    pool = list(range(objects))
    while pool:
        best, found = -1, None
        for i in range(count):
            if owner[i] != -1:
                continue
            for j in pool:
                if table[i, j] > 1e-6 and table[i, j] > best:
                    best, found = table[i, j], (i, j)
        if found is None:
            break
        owner[found[0]] = found[1]
        pool.remove(found[1])
    if rules.per_anchor:
        for i in range(count):
            best = -1
            for j in range(objects):
                if (
                    owner[i] == -1
                    and table[i, j] > 1e-6
                    and table[i, j] >= F(rules.iou_threshold)
                    and table[i, j] > best
                ):
                    best, choice = table[i, j], j
            if best > 0:
                owner[i] = choice
    return owner


def ssd_keras(table, rules):
    """match_bipartite_greedy and match_multi: returns object_of_anchor."""
    weights = table.T.copy()
    owner = [-1] * len(table)
    if not len(weights):
        return owner
    matches = [0] * len(weights)
    for _ in matches:
        anchors = [int(np.argmax(row)) for row in weights]
        j = int(np.argmax([row[i] for row, i in zip(weights, anchors, strict=True)]))
        matches[j] = anchors[j]
        weights[j] = 0
        weights[:, anchors[j]] = 0
    for j, i in enumerate(matches):
        owner[i] = j
    if rules.per_anchor:
        for i in set(range(len(table))) - set(matches):
            if table[i].max() >= F(rules.iou_threshold):
                owner[i] = int(np.argmax(table[i]))
    return owner


def torchvision(table, rules):
    """SSDMatcher: returns object_of_anchor."""
    owner = [-1] * len(table)
    if not table.shape[1]:
        return owner
    if rules.per_anchor:
        owner = [int(np.argmax(row)) if row.max() >= F(rules.iou_threshold) else -1 for row in table]
    for j in range(table.shape[1]):
        owner[int(np.argmax(table[:, j]))] = j
    return owner


def match(boxes, anchors, rules):
    """(N,) index of the object, -1 for none, `NEUTRAL`."""
    table = iou_table(anchors, boxes, rules.ignore_cross_boundary)
    owner = {"caffe": caffe, "ssd_keras": ssd_keras, "torchvision": torchvision}[rules.method](table, rules)
    for i, row in enumerate(table):
        beyond = rules.ignore_cross_boundary and any(side < 0 or side > 1 for side in anchors[i])
        near = rules.neutral_iou is not None and len(row) and row.max() >= F(rules.neutral_iou)
        if owner[i] == -1 and (beyond or near):
            owner[i] = NEUTRAL
    return np.array(owner)
