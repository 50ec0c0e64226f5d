"""`measure_tracks`: how good tracks are, by the measures of MOTChallenge."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections
from keras_ssd.evaluation.tracks.counting import count_clear, count_hota, count_identities
from keras_ssd.evaluation.tracks.sequence import Sequence


@dataclasses.dataclass(frozen=True, eq=False)
class TrackMeasures:
    """Measures of tracks, of one video or of several together.

    Shares are 0..1. Those of HOTA are averages over 19 thresholds of overlap, the others are at one.

    Attributes:
        values: {name: value}: HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr, LocA; MOTA, MOTP, IDSW (switches of
            identity), Frag, MT, PT, ML (true tracks that were mostly, partly and hardly tracked); IDF1, IDR, IDP.
        videos: {name: `TrackMeasures`} of each, where several were measured.

    Example:
        >>> print(measure_tracks(truth, found)["HOTA"])
    """

    values: Mapping[str, float]
    videos: Mapping[str, "TrackMeasures"] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def __str__(self) -> str:
        shown = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
        head = f"{'':16}" + "".join(f"{name:>7}" for name in shown) + f"{'IDSW':>6}"
        rows = [*self.videos.items(), ("all" if self.videos else "", self)]
        lines = [
            f"{name:16.16}" + "".join(f"{row[key]:7.3f}" for key in shown) + f"{row['IDSW']:6.0f}" for name, row in rows
        ]
        return "\n".join([head, *lines])


@checked_arguments
def measure_tracks(
    truth: Iterable[Detections] | Mapping[str, Iterable[Detections]],
    found: Iterable[Detections] | Mapping[str, Iterable[Detections]],
    *,
    iou_threshold: float = 0.5,
) -> TrackMeasures:
    """Compares tracks with the true ones by HOTA, MOTA and IDF1.

    The classes are not looked at: `found.filter(classes=...)` chooses one.

    Args:
        truth: `Detections` with `track_ids`, one per frame, such as `keras_ssd.tracking.read_mot` gives; or {name of a
            video: such an iterable}.
        found: the same of the tracker. Frames are matched by `Detections.frame`; where they have none, by their order.
        iou_threshold: least overlap of a match for MOTA and IDF1.

    Returns:
        `TrackMeasures`; of several videos, the counts are added up.

    Raises:
        ValueError: detections have no tracks, or the two name different videos.
    """
    if isinstance(truth, Mapping) and isinstance(found, Mapping):
        return _of_videos(truth, found, iou_threshold)
    if isinstance(truth, Mapping) or isinstance(found, Mapping):
        raise ValueError("truth and found must both be lists of Detections, or both {name of a video: list}.")
    return _measures([_counts(truth, found, iou_threshold)])


def _of_videos(truth: Any, found: Any, iou_threshold):
    if truth.keys() != found.keys():
        missing = sorted(truth.keys() ^ found.keys())
        raise ValueError(f"truth and found must have the same videos. Only one of them has: {', '.join(missing)}")
    counts = {name: _counts(truth[name], found[name], iou_threshold) for name in truth}
    videos = {name: _measures([one]) for name, one in counts.items()}
    return dataclasses.replace(_measures([*counts.values()]), videos=videos)


def _counts(truth, found, iou_threshold):
    sequence = Sequence.of(truth, found)
    return count_hota(sequence), count_clear(sequence, iou_threshold), count_identities(sequence, iou_threshold)


def _measures(counts):
    hota, clear, identity = (
        {key: sum(one[key] for one in kind) for key in kind[0]} for kind in zip(*counts, strict=True)
    )
    return TrackMeasures({**_hota(hota), **_clear(clear), **_identity(identity)})


def _hota(count: dict[str, Any]):
    """Averages over the thresholds."""
    tp, fn, fp = count["tp"], count["fn"], count["fp"]
    matches = np.maximum(1, tp)
    parts = {
        "DetA": _share(tp, tp + fn + fp),
        "AssA": count["ass_a"] / matches,
        "DetRe": _share(tp, tp + fn),
        "DetPr": _share(tp, tp + fp),
        "AssRe": count["ass_re"] / matches,
        "AssPr": count["ass_pr"] / matches,
        "LocA": np.where(tp > 0, count["overlap"] / matches, 1.0),
    }
    hota = np.sqrt(parts["DetA"] * parts["AssA"])
    return {name: float(values.mean()) for name, values in {"HOTA": hota, **parts}.items()}


def _clear(count):
    tp, fp, objects = count["tp"], count["fp"], count["tp"] + count["fn"]
    return {
        "MOTA": float(_share(tp - fp - count["switches"], objects)),
        "MOTP": float(_share(count["overlap"], tp)),
        "IDSW": count["switches"],
        "Frag": count["fragments"],
        "MT": count["mostly_tracked"],
        "PT": count["partly_tracked"],
        "ML": count["mostly_lost"],
    }


def _identity(count):
    tp, fn, fp = count["tp"], count["fn"], count["fp"]
    return {
        "IDF1": float(_share(tp, tp + 0.5 * fn + 0.5 * fp)),
        "IDR": float(_share(tp, tp + fn)),
        "IDP": float(_share(tp, tp + fp)),
    }


def _share(part, whole):
    return part / np.maximum(1.0, whole)
