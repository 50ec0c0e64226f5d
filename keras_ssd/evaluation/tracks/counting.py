"""What the measures of tracking count, as their papers define it.

HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021. MOTA and its parts:
Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008. IDF1:
Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016. Where the papers
leave a choice, it is that of TrackEval, MOTChallenge's own program.
"""

import numpy as np

from keras_ssd.evaluation.tracks.sequence import Sequence
from keras_ssd.tracking.association import assigned

THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # of HOTA
_EPSILON = np.finfo(float).eps
_CONTINUED = 1000.0  # a pair of the frame before is preferred to any overlap


def count_hota(sequence: Sequence) -> dict[str, np.ndarray]:
    """HOTA's counts at each of `THRESHOLDS`: tp, fn, fp, and sums over matches of overlap, AssA, AssRe, AssPr."""
    shape = (sequence.num_truth, sequence.num_found)
    lengths = [np.zeros(count) for count in shape]
    shared = np.zeros(shape)
    for frame in sequence.frames:
        lengths[0][frame.truth] += 1
        lengths[1][frame.found] += 1
        rivals = frame.overlaps.sum(0) + frame.overlaps.sum(1)[:, None] - frame.overlaps
        share = np.divide(frame.overlaps, rivals, out=np.zeros_like(rivals), where=rivals > _EPSILON)
        shared[np.ix_(frame.truth, frame.found)] += share
    both = lengths[0][:, None] + lengths[1]
    alignment = shared / (both - shared)
    matches = np.zeros((len(THRESHOLDS), *shape))
    overlap, truth, found = np.zeros(len(THRESHOLDS)), 0, 0
    for frame in sequence.frames:
        truth, found = truth + len(frame.truth), found + len(frame.found)
        if not frame.overlaps.size:
            continue
        rows, columns = assigned(alignment[np.ix_(frame.truth, frame.found)] * frame.overlaps)
        alike = frame.overlaps[rows, columns]
        reached = alike >= THRESHOLDS[:, None] - _EPSILON
        matches[:, frame.truth[rows], frame.found[columns]] += reached
        overlap += (alike * reached).sum(1)
    tp = matches.sum((1, 2))
    return {
        "tp": tp,
        "fn": truth - tp,
        "fp": found - tp,
        "overlap": overlap,
        "ass_a": (matches**2 / np.maximum(1, both - matches)).sum((1, 2)),
        "ass_re": (matches**2 / np.maximum(1, lengths[0][:, None])).sum((1, 2)),
        "ass_pr": (matches**2 / np.maximum(1, lengths[1])).sum((1, 2)),
    }


def count_clear(sequence: Sequence, iou_threshold: float) -> dict[str, float]:
    """MOTA's counts: tp, fn, fp, switches of identity, fragments, and mostly tracked, partly tracked, mostly lost."""
    lengths, covered, begun = (np.zeros(sequence.num_truth) for _ in range(3))
    last = np.full(sequence.num_truth, -1)  # the track that had each object last
    before = last.copy()  # and in the frame before
    tp = fn = fp = switches = 0
    overlap = 0.0
    for frame in sequence.frames:
        lengths[frame.truth] += 1
        rows = columns = np.zeros(0, int)
        if frame.overlaps.size:
            value = _CONTINUED * (before[frame.truth][:, None] == frame.found) + frame.overlaps
            value[frame.overlaps < iou_threshold - _EPSILON] = 0
            rows, columns = assigned(value)
            real = value[rows, columns] > _EPSILON
            rows, columns = rows[real], columns[real]
        tp, fn, fp = tp + len(rows), fn + len(frame.truth) - len(rows), fp + len(frame.found) - len(rows)
        if not frame.overlaps.size:  # as in TrackEval, a frame without either side interrupts nothing
            continue
        objects, tracks = frame.truth[rows], frame.found[columns]
        overlap += float(frame.overlaps[rows, columns].sum())
        switches += int(((last[objects] >= 0) & (last[objects] != tracks)).sum())
        covered[objects] += 1
        now = np.full(sequence.num_truth, -1)
        now[objects] = last[objects] = tracks
        begun += (before < 0) & (now >= 0)
        before = now
    share = covered[lengths > 0] / lengths[lengths > 0]
    most, part = int((share > 0.8).sum()), int((share >= 0.2).sum())
    return {
        "tp": tp,
        "fn": fn,
        "fp": fp,
        "overlap": overlap,
        "switches": switches,
        "fragments": int((begun[begun > 0] - 1).sum()),
        "mostly_tracked": most,
        "partly_tracked": part - most,
        "mostly_lost": sequence.num_truth - part,
    }


def count_identities(sequence: Sequence, iou_threshold: float) -> dict[str, int]:
    """IDF1's counts: tp, fn and fp of the one-to-one assignment of whole tracks that has the most true positives."""
    together = np.zeros((sequence.num_truth, sequence.num_found))
    truth = found = 0
    for frame in sequence.frames:
        truth, found = truth + len(frame.truth), found + len(frame.found)
        together[np.ix_(frame.truth, frame.found)] += frame.overlaps >= iou_threshold
    tp = int(together[assigned(together)].sum()) if together.size else 0
    return {"tp": tp, "fn": truth - tp, "fp": found - tp}
