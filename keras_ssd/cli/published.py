"""Figures that the catalogue has of trained weights, beside those that were measured here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result


def print_published(weights: str, kind: str | None, result: "Result") -> None:
    """The catalogue's figures for these weights beside the measured ones."""
    entry = _entry(weights, kind)
    if entry is None or not entry.results:
        return
    print(f"\n{entry.name}, in per cent:\n  measured  published")
    for row in entry.results:
        value = _comparable(row.measure, result)
        measured = "-" if value is None else f"{100 * value:.1f}"
        note = f" ({row.note})" if row.note else ""
        print(f"  {measured:>8}  {row.value:>9}  {row.measure}, {row.dataset}, {row.source}{note}")
    print("Figures can be compared where data and measure are the same.")


def _comparable(name, result):
    """The measured value that a catalogue's figure of this name can be compared with; None if there is none."""
    if name == ("AP" if result.measure == "coco" else "mAP"):
        return result.map
    return None if result.measure == "coco" else result.per_class.get(name.removeprefix("AP of "))


def _entry(weights, kind):
    """The catalogue's row of these weights, by name or by the published file name; None for a file of one's own."""
    from keras_ssd import zoo
    from keras_ssd.models.weights import find_entry, is_file

    if is_file(weights):
        return zoo.by_file_name(weights)
    if kind is None and any(entry.tag == weights for entry in zoo.entries(model="ssd300")):
        kind = "ssd300"
    return find_entry(weights, kind)
