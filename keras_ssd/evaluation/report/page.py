"""The content of the page for the template: tables of text, sentences, charts."""

import dataclasses
import math
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ssd.evaluation.analysis import ERRORS, FOUND, KINDS, Analysis, analyse, compare
from keras_ssd.evaluation.figures import counted, figure, number, percent
from keras_ssd.evaluation.report import charts, facts, galleries, report_text

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result

CONFUSED = 20  # listed pairs of classes
MATRIX = 20  # most classes of a confusion table
COLOURS = 4  # of detectors, in the page's style
TALL = 16  # longer tables scroll
CURVES = 12  # charts before the rest is folded
_MEASURES = {
    "voc07": "PASCAL VOC 2007, 11 points",
    "voc12": "PASCAL VOC 2010 to 2012, area under the curve",
    "coco": "COCO, IoU 0.50 to 0.95",
    "ilsvrc": "ILSVRC DET, overlap by size",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One detector on the page: its letter, colour number, name, `Result` and `Analysis`."""

    letter: str
    number: int
    name: str
    result: "Result"
    analysis: Analysis


def contents(results: "Sequence[Result]", names: Sequence[str], anchors: Any = None) -> dict[str, Any]:
    """All values of the template.

    Args:
        results: `Result`s that can be compared, the page's main one first.
        names: of the detectors.
        anchors: `AnchorSpec` or model for results without anchors, or None.
    """
    compared = compare(results)
    runs = [
        Run(
            string.ascii_uppercase[place % 26],
            place % COLOURS + 1,
            name,
            result,
            result.analysis if anchors is None or result.anchors is not None else analyse(result, anchors),
        )
        for place, (name, result) in enumerate(zip(names, results, strict=True))
    ]
    first = runs[0]
    images = galleries.Images(results)
    return {
        "runs": runs,
        "first": first,
        "measure": _MEASURES.get(first.result.measure, first.result.measure),
        "data": getattr(first.result.dataset, "name", ""),
        "headline": report_text.headline(first.analysis),
        "findings": report_text.findings(first.analysis),
        "advice": report_text.advice(first.analysis, first.result.origin),
        "facts": facts.facts(runs, _MEASURES.get(first.result.measure, first.result.measure)),
        "kind": report_text.main_kind(first.analysis),
        "tiles": _tiles(first, compared),
        "comparison": _comparison(runs, compared) if len(runs) > 1 else None,
        "numbers": _numbers(runs) if len(first.result.numbers) > 1 else None,
        "classes": _classes(first, compared),
        "overall": first.analysis.working_point,
        "curves": _curves(runs),
        "folded": CURVES,
        "tall": len(first.result.per_class) > TALL,
        "errors": _errors(runs),
        "splits": _splits(runs),
        "sizes": _sizes(runs),
        "confusions": [_confusion(run) for run in runs],
        "calibrations": [_calibration(run) for run in runs],
        "galleries": _galleries(runs, images),
        "images": images,
        "limits": galleries,
        "replicates": compared.replicates,
        "w": report_text,
    }


def _tiles(first, compared):
    """(value, name, small print) of the tiles at the top."""
    points = first.analysis.working_points.values()
    found, wrong, wanted = (sum(getattr(point, part) for point in points) for part in ("found", "wrong", "wanted"))
    interval = compared.maps[0]
    spread = "" if math.isnan(interval.low) else f"95 % interval {figure(interval.low)} to {figure(interval.high)}"
    return [
        (figure(first.result.map), "mean average precision", spread),
        (percent(found, wanted), "of the objects found", f"{number(found)} of {number(wanted)}"),
        (percent(wrong, found + wrong), "of the boxes wrong", f"{number(wrong)} of {number(found + wrong)}"),
        (number(len(first.result.truth.images)), "images", counted(len(first.result.per_class), "class", "classes")),
    ]


def _comparison(runs, compared):
    names = runs[0].result.truth.class_names
    rows = [("mean of the classes", compared.maps, compared.differences, True)]
    for name in names:
        values = [per_class[name] for per_class in compared.per_class]
        differences = [per_class[name] for per_class in compared.class_differences]
        if not math.isnan(values[0].value):
            rows.append((name, values, differences, False))
    sentences = [
        report_text.difference_sentence(runs[0].name, run.name, difference)
        for run, difference in zip(runs[1:], compared.differences[1:], strict=True)
    ]
    return {"sentences": sentences, "rows": rows}


def _numbers(runs):
    return [(name, [run.result.numbers[name] for run in runs]) for name in runs[0].result.numbers]


def _classes(first, compared):
    """A dictionary for each class: its row of the table."""
    rows = []
    detections, objects = first.result.detections, first.result.objects
    for name, value in first.result.per_class.items():
        losses = {kind: first.analysis.class_costs[kind][name] for kind in KINDS}
        worst = max(losses, key=lambda kind: -1 if math.isnan(losses[kind]) else losses[kind])
        rows.append(
            {
                "name": name,
                "objects": objects[name],
                "detections": detections[name],
                "value": value,
                "interval": compared.per_class[0][name],
                "point": first.analysis.working_points[name],
                "loss": report_text.WORDS[worst].title if losses[worst] >= report_text.NOTHING else "",
                "cost": losses[worst],
            }
        )
    return rows


def _curves(runs):
    """(class, title, chart) of each class with objects, the lowest average precision first."""
    per_class = runs[0].analysis.per_class
    names = sorted((name for name in per_class if not math.isnan(per_class[name])), key=per_class.get)
    drawn = []
    for name in names:
        lines = [(run.number, run.analysis.curves.get(name), run.analysis.working_points[name]) for run in runs]
        said = "; ".join(
            f"{run.name}: AP {figure(run.analysis.per_class[name])}, best at precision "
            f"{figure(point.precision, 2)} and recall {figure(point.recall, 2)}"
            for run, (_, _, point) in zip(runs, lines, strict=True)
        )
        values = " / ".join(figure(run.analysis.per_class[name]) for run in runs)
        drawn.append((name, values, charts.precision_recall(lines, f"Precision over recall of {name}. {said}")))
    return drawn


def _errors(runs):
    """A dictionary for each kind of error, by its cost for the first detector."""
    highest = max(run.analysis.costs[kind] for run in runs for kind in KINDS)
    iou = f"{runs[0].analysis.iou_threshold:g}"
    rows = []
    for kind in sorted(KINDS, key=lambda kind: -runs[0].analysis.costs[kind]):
        rows.append(
            {
                "title": report_text.WORDS[kind].title,
                "meaning": report_text.WORDS[kind].meaning.format(iou=iou),
                "costs": [run.analysis.costs[kind] for run in runs],
                "widths": [100 * run.analysis.costs[kind] / highest if highest else 0 for run in runs],
                "all": [run.analysis.counts[kind] for run in runs],
                "accepted": [run.analysis.accepted_counts[kind] for run in runs],
            }
        )
    return rows


def _splits(runs):
    """A dictionary for each property of objects, with a row for each group.

    A property that one of the runs does not know is left out: files of detections have no anchors.
    """
    made = []
    known = [{split.name: split for split in run.analysis.misses} for run in runs]
    for name, split in known[0].items():
        theirs = [splits[name] for splits in known if name in splits and len(splits[name].groups) == len(split.groups)]
        if len(split.groups) < 2 or len(theirs) < len(known):
            continue
        rows = []
        for index, group in enumerate(split.groups):
            each = [one.groups[index] for one in theirs]
            rows.append({"name": group.name, "objects": group.objects, "share": group.missed, "each": each})
        made.append({"name": split.name, "rows": rows, "missed": split.missed, "unknown": split.unknown})
    return made


def _sizes(runs):
    sizes = runs[0].analysis.sizes
    return [(name, sizes[name].objects, [run.analysis.sizes[name].value for run in runs]) for name in sizes]


def _confusion(run):
    """The confusion table, or for many classes the pairs that are confused most."""
    matrix = run.analysis.confusion
    names = run.result.truth.class_names
    sums = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    wrong = matrix[:-1, :-1] * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED]
    pairs = [
        (names[true], names[said], int(wrong[true, said]), int(matrix[true].sum()))
        for true, said in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[true, said]
    ]
    rows = None
    if len(names) <= MATRIX:
        titles = [*names, "nothing there"]
        shares = np.round(100 * matrix / sums).astype(int)
        rows = [
            (titles[i], i == len(names), [(int(matrix[i, j]), int(shares[i, j]), i == j) for j in range(len(titles))])
            for i in range(len(titles))
        ]
    return {"run": run, "names": names, "rows": rows, "pairs": pairs}


def _calibration(run):
    said = run.analysis.calibration
    if said is None or math.isnan(said.ece):
        return {"run": run, "chart": None, "sentence": "", "ece": math.nan, "rows": []}
    bins = [
        (low, high, int(count), score, true)
        for low, high, count, score, true in zip(
            said.edges[:-1], said.edges[1:], said.counts, said.scores, said.precision, strict=True
        )
    ]
    label = "; ".join(
        f"score {low:.1f} to {high:.1f}: {100 * true:.0f} % true" for low, high, _, _, true in bins if true == true
    )
    chart = charts.reliability(said, run.number, f"Share of true detections by score. {label}")
    return {
        "run": run,
        "chart": chart,
        "sentence": report_text.calibration_sentence(run.analysis),
        "ece": said.ece,
        "rows": bins,
    }


def _galleries(runs, images):
    """Dictionaries of title, explanation and images; empty without a dataset."""
    if not images.there:
        return []
    first, made = runs[0], []
    result, analysis, counts = first.result, first.analysis, first.analysis.accepted_counts
    most = f"at most {galleries.PER_IMAGE} per image"

    def add(title, text, count, rows, describe, run=first, short=None):
        items = images.gallery(rows, describe, run.result, run.analysis)
        made.append({"title": title, "short": short or title, "text": text, "count": count, "items": items})

    text = f"Objects that no detection above the thresholds finds: the largest of each class in turn, {most}."
    add("Worst misses", text, counts["missed"], galleries.worst_misses(result, analysis), galleries.of_miss)
    text = f"Wrong detections above the thresholds: the highest scores first, {most}."
    alarms = sum(counts[kind] for kind in ERRORS)
    add("Worst false alarms", text, alarms, galleries.worst_alarms(result, analysis), galleries.of_alarm)
    text = "Right detections above the thresholds: the highest score of each class in turn, one per image."
    finds = int((analysis.accepted & (analysis.kinds == FOUND)).sum())
    add("Found well", text, finds, galleries.best_finds(result, analysis), galleries.of_find)
    for other in runs[1:]:
        for better, worse in ((first, other), (other, first)):
            add(
                f"Found by {better.name}, missed by {worse.name}",
                f"The boxes are those of {worse.name}; the largest of each class in turn.",
                int((better.analysis.found & ~worse.analysis.found).sum()),
                galleries.only_first_finds(result, better.analysis, worse.analysis),
                galleries.of_miss,
                worse,
                f"{better.letter} finds, {worse.letter} misses",
            )
    return made
