"""The report's sentences: the verdict, the findings, advice, and what numbers mean."""

import dataclasses
import math

from keras_ssd.decoding.confidence import DEFAULT
from keras_ssd.evaluation.analysis import KINDS, Analysis
from keras_ssd.evaluation.analysis.comparing import Interval
from keras_ssd.evaluation.analysis.misses import Group, Split
from keras_ssd.evaluation.figures import bounds, counted, figure, number, percent, signed
from keras_ssd.evaluation.origin import Origin

NOTHING = 0.005  # mean average precision: a smaller loss is not worth a headline
_STRIKING = 2.0  # standard deviations by which a group's misses must exceed the expected number
_FEW = 5
_OFF = 0.05  # smallest distance of a bar from the diagonal that matters
_WORTH = 0.05  # smallest gain of F1 by another threshold that is mentioned


@dataclasses.dataclass(frozen=True)
class KindWords:
    """Texts about a kind of error.

    Args:
        title: for tables.
        loss: for "Main loss: ...".
        meaning: its definition, for the table; `{iou}` is the threshold.
        advice: what usually helps.
    """

    title: str
    loss: str
    meaning: str
    advice: str


WORDS = {
    "classification": KindWords(
        "wrong class",
        "objects taken for another class",
        "the box fits an object of another class (IoU {iou} or more)",
        "The confusion table lists the pairs. Add images that show both classes side by side, and check their labels: "
        "networks learn the confusions of the labels.",
    ),
    "localisation": KindWords(
        "loose box",
        "boxes that fit their object badly",
        "the right class, but the box overlaps the object less than {iou}",
        "Compare truth and detection in the galleries: loose labels teach loose boxes. Anchors nearer to the objects' "
        "sizes and shapes, a larger input and longer training at a low learning rate make boxes tighter.",
    ),
    "both": KindWords(
        "wrong class and loose box",
        "boxes that fit badly and have the wrong class",
        "the box overlaps an object of another class, by less than {iou}",
        "The advice for wrong classes and for loose boxes applies here, too.",
    ),
    "duplicate": KindWords(
        "second box",
        "several boxes on one object",
        "another detection has found the object already",
        "Lower the IoU of non-maximum suppression (iou_threshold of DecodeOptions) and measure again; no training is "
        "needed.",
    ),
    "background": KindWords(
        "nothing there",
        "false alarms where no object is",
        "the box overlaps every object by less than 0.1",
        "Look at the gallery of false alarms first: unlabelled objects count as background, too. If they are truly "
        "background, add such images to the training set, also images without objects.",
    ),
    "missed": KindWords(
        "missed",
        "objects without any detection",
        "no detection finds the object, not even with a wrong class or a loose box; above the thresholds: all objects "
        "that are not found there",
        "See below what missed objects have in common. Small objects need a larger input or images cut into tiles; "
        "objects that no anchor fits need other anchors; rare ones need more examples.",
    ),
}


def main_kind(analysis: Analysis) -> str | None:
    """The kind of error with the highest cost, or None if no cost matters."""
    kind = max(KINDS, key=lambda kind: analysis.costs[kind])
    return kind if analysis.costs[kind] >= NOTHING else None


def striking_groups(analysis: Analysis) -> list[tuple[Split, Group]]:
    """What misses have in common: none, one or two (split, group) of two properties.

    The first has the most misses beyond the expected number, the second is the least likely to be chance.
    """
    found = []
    for split in analysis.misses:
        objects = sum(group.objects for group in split.groups)
        rate = split.missed / objects
        for group in split.groups:
            expected = group.objects * rate
            excess = group.missed - expected
            spread = math.sqrt(expected * (1 - rate) * (1 - group.objects / objects))
            if group.missed >= _FEW and spread and excess > _STRIKING * spread:
                found.append((excess, excess / spread, split, group))
    if not found:
        return []
    most = max(found, key=lambda one: one[0])
    rest = [one for one in found if one[2] is not most[2] and one[1] > most[1]]
    chosen = [most, *([max(rest, key=lambda one: one[1])] if rest else [])]
    return [(split, group) for _, _, split, group in chosen]


def main_class(analysis: Analysis, kind: str) -> tuple[str, float] | None:
    """(name, share) of the class with most of a kind's cost, or None if there is only one class."""
    costs = {name: cost for name, cost in analysis.class_costs[kind].items() if cost > 0}
    valued = sum(not math.isnan(value) for value in analysis.per_class.values())
    if not costs or valued < 2:
        return None
    name = max(costs, key=costs.__getitem__)
    return name, costs[name] / sum(costs.values())


def headline(analysis: Analysis) -> str:
    """The verdict in one line."""
    kind = main_kind(analysis)
    if kind is None:
        return f"Little is lost: no kind of error costs {NOTHING:g} of mean AP"
    text = f"Main loss: {WORDS[kind].loss}"
    groups = striking_groups(analysis)
    if kind == "missed" and groups:
        split, group = groups[0]
        return f"{text}; {percent(group.missed, split.missed)} of the misses are {group.short}"
    share = main_class(analysis, kind)
    if share and share[1] >= 0.5:
        text += f", {'all' if share[1] > 0.995 else 'mostly'} {share[0]}"
    return text


def findings(analysis: Analysis) -> tuple[str, ...]:
    """The findings as sentences, most important first."""
    points = analysis.working_points.values()
    found, wrong, wanted = (sum(getattr(point, part) for point in points) for part in ("found", "wrong", "wanted"))
    said = [
        f"With the best threshold for each class, the detector finds {number(found)} of {counted(wanted, 'object')} "
        f"({percent(found, wanted)}), and {number(wrong)} of the {counted(found + wrong, 'box', 'boxes')} that it "
        f"gives {'is' if wrong == 1 else 'are'} wrong ({percent(wrong, found + wrong)})."
    ]
    kind = main_kind(analysis)
    if kind:
        said.append(
            f"Without the main loss, mean AP at IoU {analysis.iou_threshold:g} would rise from "
            f"{figure(analysis.map)} to {figure(analysis.map + analysis.costs[kind])}."
        )
    said += [*_misses(analysis, wanted - found, wanted), calibration_sentence(analysis)]
    return tuple(text for text in said if text)


def _misses(analysis, missed, wanted):
    groups = striking_groups(analysis)
    if not missed:
        return ["No object is missed at these thresholds."]
    if not groups:
        return [
            f"The {counted(missed, 'missed object')} have nothing in common: no size, shape, position or crowding is "
            "missed clearly more often than the others."
        ]
    return [
        f"Of the objects that are {group.short}, {percent(group.missed, group.objects)} are missed (of all objects, "
        f"{percent(missed, wanted)}); they make up {percent(group.missed, split.missed)} of the misses."
        for split, group in groups
    ]


def calibration_sentence(analysis: Analysis) -> str:
    """Whether scores can be read as probabilities, as the bars show; "" if unknown.

    The expected calibration error and the mean bias do not decide: the many weak detections of the first bar outweigh
    all that a user sees.
    """
    said = analysis.calibration
    if said is None or math.isnan(said.ece):
        return ""
    runs = _off(said)
    if not runs:
        return "Scores can be read as probabilities: no bar is clearly off the diagonal."
    parts = [
        f"{'too high' if side > 0 else 'too low'} from {low:.1f} to {high:.1f} ({figure(score, 2)} on average, and "
        f"{percent(share, 1)} of such detections are true)"
        for low, high, side, score, share in runs
    ]
    return f"Scores are {', '.join(parts)}."


def _off(said):
    """(low, high, bias, mean score, share true) of adjacent bars that are clearly off to the same side."""
    runs = []
    for place, (count, score, share) in enumerate(zip(said.counts, said.scores, said.precision, strict=True)):
        if count < _FEW or abs(score - share) < max(_OFF, _STRIKING * math.sqrt(score * (1 - score) / count)):
            continue
        side = 1 if score > share else -1
        if runs and runs[-1][0] == side and runs[-1][2] == place - 1:
            runs[-1][2] = place
        else:
            runs.append([side, place, place])
    found = []
    for side, first, last in runs:
        rows = slice(first, last + 1)
        whole = said.counts[rows].sum()
        score = float((said.scores[rows] * said.counts[rows]).sum() / whole)
        share = float((said.precision[rows] * said.counts[rows]).sum() / whole)
        found.append((said.edges[first], said.edges[last + 1], side, score, share))
    return found


def advice(analysis: Analysis, origin: Origin | None = None) -> tuple[str, ...]:
    """What to try, the cheapest first, as sentences; `origin` is that of the detector, or None."""
    kind = main_kind(analysis)
    said = [_threshold_advice(analysis, origin), _training_advice(origin), kind and WORDS[kind].advice]
    return tuple(text for text in said if text)


def _threshold_advice(analysis, origin):
    """Compares the best threshold with the one that `detect` uses for this model."""
    best = analysis.working_point
    if analysis.calibration is None or not best.wanted or math.isnan(best.threshold):
        return ""
    own = origin and origin.confidence
    used = analysis.at(DEFAULT if own is None else own)
    if best.f1 - used.f1 < _WORTH:
        return ""
    now = f"the default, {DEFAULT:g}" if own is None else f"the model's own, {figure(own, 2)}"
    return (
        f"The cheapest gain is another threshold: {figure(best.threshold, 2)} instead of {now}. "
        f"F1 rises from {figure(used.f1, 2)} to {figure(best.f1, 2)} "
        f"({number(best.found)} instead of {number(used.found)} objects found, {number(best.wrong)} instead of "
        f"{number(used.wrong)} wrong boxes), without training."
    )


def _training_advice(origin):
    training = origin and origin.training
    if not training:
        return ""
    done = f"The training ended after {counted(training.epochs, 'epoch')}"
    if training.epochs == 1:
        return f"{done}: train longer."
    progress = training.progress()
    if progress is None:
        return ""
    name, before, end = progress
    how = "the mean AP on the validation set was still rising" if name == "val_mAP" else "the loss was still falling"
    return f"{done}, when {how} (from {figure(before)} to {figure(end)}): train longer, over more epochs."


def difference_sentence(name: str, other: str, interval: Interval) -> str:
    """Which of two detectors is better, and whether the difference is significant."""
    if math.isnan(interval.low):
        return f"{other} has {signed(interval.value)} mean AP against {name}; one image cannot show whether by luck."
    said = f"{signed(interval.value)} mean AP, 95\u00a0% interval {bounds(interval)}"
    if not interval.apart:
        return f"These images do not show a difference between {other} and {name}: {said}."
    return f"{other} is {'better' if interval.value > 0 else 'worse'} than {name}: {said}."
