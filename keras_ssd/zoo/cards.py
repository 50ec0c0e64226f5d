"""The card of a weight set, which `keras-ssd zoo show` prints."""

from keras_ssd.calling import checked_arguments
from keras_ssd.zoo import cache
from keras_ssd.zoo.catalog import Source, WeightSet, architectures, find, formats, labels

YES: dict[bool | None, str] = {True: "yes", False: "no", None: "not stated"}


@checked_arguments
def describe(weights: str | WeightSet, *, model: str | None = None) -> str:
    """A readable card of a weight set.

    Args:
        weights: a name of the catalogue or a `WeightSet`.
        model: the network, where `weights` is a tag alone.

    Returns:
        Several lines of text.

    Raises:
        ValueError: unknown name.
    """
    entry = weights if isinstance(weights, WeightSet) else find(weights, model)
    facts = list(_facts(entry))
    width = max(len(key) for key, _ in facts)
    lines = [entry.name, ""]
    lines += [f"{key.ljust(width)}  {value}" for key, value in facts]
    if entry.results:
        lines += ["", "Published results"]
        lines += [f"  {_result(result)}" for result in entry.results]
    lines += ["", "Sources, in order of preference"]
    for source in entry.sources:
        lines += _source(source)
    return "\n".join(lines)


def _facts(entry):
    architecture = architectures()[entry.model]
    yield "Model", architecture.title
    if architecture.input_size:
        yield "Input", "{} x {} pixels (height x width)".format(*architecture.input_size)
    yield "Trained on", entry.trained_on
    if entry.classes:
        yield "Classes", classes_text(entry)
    if entry.scales:
        yield "Prior scales", f"{entry.scales.upper()}, cut to whole pixels: {YES[entry.anchors_truncated]}"
        yield "Priors clipped", YES[entry.anchors_clipped]
    recipe = entry.preprocessing
    if recipe:
        mean = ", ".join(f"{value:g}" for value in recipe.mean_rgb)
        scale = "" if recipe.scale == 1 else f", times {recipe.scale:.6g}"
        yield "Trained with", f"{recipe.colour.upper()}, minus the mean (RGB {mean}){scale}"
    yield "Licence", entry.licence
    yield "State", state(entry)
    for note in (entry.note, architecture.note):
        if note:
            yield "Note", note


def classes_text(entry: WeightSet) -> str:
    """For example `20 (voc)`; with the number of slots where that differs from classes + background."""
    if entry.classes is None:
        return YES[None]
    count = len(labels(entry.classes))
    slots = f", in {entry.slots} slots with background" if entry.slots not in (None, count + 1) else ""
    return f"{count} ({entry.classes}){slots}"


def state(entry: WeightSet) -> str:
    """`included`, `cached`, `available`, or why it cannot be loaded."""
    if not entry.readable:
        if not architectures()[entry.model].available:
            return "not loadable: this package does not build the model"
        return "not loadable: no source in a format that this package reads"
    path = cache.cached(entry)
    if entry.bundled:
        return f"included in this package as {path}" if path else "missing from this installation"
    return f"cached as {path}" if path else "available for download"


def size_text(source: Source) -> str:
    """The published size, in megabytes, or an empty text."""
    if source.size:
        return f"{source.size / 1e6:.1f} MB"
    return f"{source.about_mb:g} MB" if source.about_mb else ""


def percent_text(value: float) -> str:
    """A published value as it is usually written: one decimal, two where there are two."""
    return f"{value:.2f}".removesuffix("0")


def _result(result):
    note = f"; {result.note}" if result.note else ""
    return f"{percent_text(result.value)} % {result.measure} on {result.dataset} ({result.source}{note})"


def _source(source):
    form = formats()[source.format]
    details = [form.title if form.readable else f"{form.title} (not read yet)", size_text(source)]
    if source.archive:
        network = f" and {source.prototxt}" if source.prototxt else ""
        details.append(f"{source.member or source.file}{network} in {source.archive}")
    unproven = "" if source.bundled else "no published checksum: pinned at first use"
    details += [source.checksum or unproven, source.note]
    return [f"  {source.origin}", "    " + "; ".join(detail for detail in details if detail)]
