"""Checks of the scores: the background's column, the names of the classes, and how sure the model is."""

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.doctor.findings import DOUBT, FAULT, FINE, Finding
from keras_ssd.doctor.probe import SURE, Probe

MOSTLY = 0.6  # share of all places that only the background can win
ENOUGH = 5  # objects from which on classes can be compared
FAINT = 0.1  # a score from which there is something to see


def check_background(probe: Probe) -> Finding:
    """Whether the column that wins nearly everywhere is the background's."""
    scores = probe.probabilities
    winners = np.bincount(scores.argmax(axis=-1).ravel(), minlength=scores.shape[-1]) / scores[..., 0].size
    top = int(winners.argmax())
    if top and winners[top] > MOSTLY:
        where = "last" if top == len(winners) - 1 else f"in place {top}"
        name = probe.model.class_names[top - 1]
        return Finding(
            "background",
            FAULT,
            f"'{name}' wins {winners[top]:.0%} of all places, as only the background does: the heads of these weights "
            f"have the background {where}, and here it comes first.",
            "Turn the class columns of the heads when the weights are ported, or name the classes without background.",
        )
    if winners[0] < MOSTLY and probe.options.scores == "softmax":
        return Finding(
            "heads",
            FAULT,
            f"the background wins only {winners[0]:.0%} of all places: these heads look as they were made, untrained.",
            "Print model.weights_report: were the heads loaded? If they are new, train them first.",
        )
    return Finding("background", FINE, f"wins {winners[0]:.1%} of all places.")


def check_classes(probe: Probe) -> Finding:
    """Whether what is marked as one class is found as another."""
    names = probe.model.class_names
    if not probe.model.names_classes:
        text = f"the model has no class names; its {len(names)} classes are numbered."
        return Finding("classes", DOUBT, text, "Set model.class_names, in the order in which it was trained.")
    if probe.truth is None:
        text = f"{len(names)} classes, named; whether in the right order only annotated images can tell."
        return Finding("classes", FINE, text)
    confusion = _confusion(probe)
    seen = confusion.sum()
    if seen < ENOUGH:
        text = "too little was found where the objects are to compare classes."
        return Finding("classes", FINE, text)
    right, renamed = np.trace(confusion) / seen, confusion.argmax(axis=1)
    known = np.flatnonzero(confusion.sum(axis=1))
    as_renamed = confusion[known, renamed[known]].sum() / seen
    if right < 0.7 and as_renamed > right + 0.2 and len(set(renamed[known])) == len(known):
        pairs = ", ".join(
            f"'{names[a]}' is called '{names[b]}'" for a, b in enumerate(renamed) if a in known and a != b
        )
        return Finding(
            "classes",
            FAULT,
            f"{right:.0%} of the found objects have the right class, and {as_renamed:.0%} would have if the names "
            f"stood in another order: what is marked {pairs}.",
            "Give class_names in the order in which the weights were trained; the same holds for category ids of data.",
        )
    silent = [names[i] for i in known if confusion[i, i] == 0 and confusion[i].sum() >= 3]
    if silent:
        text = f"never found by their own name though marked and found as others: {', '.join(silent)}."
        return Finding("classes", DOUBT, text, "Look at their rows in model.weights_report, and at their annotations.")
    return Finding("classes", FINE, f"{right:.0%} of {seen} objects that were found have the right class.")


def _confusion(probe):
    """(C, C) objects by marked class and by the class of the best detection that overlaps them by a half."""
    confusion = np.zeros((len(probe.model.class_names),) * 2, int)
    sizes = np.array(probe.sizes_hw, np.float32)[:, [1, 0, 1, 0]]
    for rows, annotation, size in zip(probe.rows(probe.raw), probe.truth, sizes, strict=True):
        rows = rows[rows[:, 1] >= FAINT]
        if not len(rows) or not len(annotation):
            continue
        overlaps = iou_matrix(annotation.boxes_xyxy, rows[:, 2:] * size)
        best = np.where(overlaps >= 0.5, rows[:, 1], -1).argmax(axis=1)
        hit = overlaps[np.arange(len(best)), best] >= 0.5
        np.add.at(confusion, (annotation.class_ids[hit], rows[best[hit], 0].astype(int)), 1)
    return confusion


def check_scores(probe: Probe) -> Finding:
    """How sure the model is, before any threshold."""
    if not probe.given:
        return Finding("scores", FINE, "give images to see how sure the model is of what is in them.")
    best = probe.probabilities[..., 1:].max(axis=(1, 2))
    middle, count = float(np.median(best)), len(best)
    above = int((best >= SURE).sum())
    text = f"the best score of an image is {middle:.2f} in the middle of {count}; {above} have one of {SURE} or more."
    if above * 2 >= count:
        return Finding("scores", FINE, text)
    if middle >= FAINT:
        advice = (
            f"Detect with confidence={max(0.05, middle / 2):.2g}; train longer or on more images for higher scores."
        )
        return Finding("scores", FAULT, f"{text} They are there, below the usual threshold.", advice)
    return Finding(
        "scores",
        FAULT,
        f"{text} The model sees hardly anything in them.",
        "Try images like those it was trained on: if these work, it needs training on yours; if not, the weights are "
        "others than you think (keras-ssd zoo inspect FILE).",
    )
