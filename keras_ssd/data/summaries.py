"""Datasets in a few lines of text."""

from typing import Any

_CLASSES = 12  # that a line names


def summary(data: Any, shown: int) -> str:
    """Images, objects, classes, marks, splits and problems of a `Dataset`, `shown` problems of each kind."""
    kind = f" ({data.format.upper()})" if data.format else ""
    sizes = [counted(len(data), "image"), counted(data.num_objects, "object")]
    lines = [f"{data.name}{kind}: {', '.join(sizes)}, {counted(len(data.classes), 'class', 'classes')}"]
    ranked = sorted(data.counts().items(), key=lambda item: -item[1])
    hidden = f", ... ({len(ranked) - _CLASSES} more)" if len(ranked) > _CLASSES else ""
    lines.append("  " + ", ".join(f"{name} {count}" for name, count in ranked[:_CLASSES]) + hidden)
    empty = sum(not len(annotation) for annotation in data)
    marks = {
        name: sum(int(getattr(annotation, name).sum()) for annotation in data)
        for name in ("difficult", "truncated", "crowd")
    }
    facts = [f"{count} {name}" for name, count in marks.items() if count]
    facts += [f"{counted(empty, 'image')} without objects"] if empty else []
    lines += ["  " + ", ".join(facts)] if facts else []
    lines += [f"  splits: {', '.join(data.splits)}"] if data.splits else []
    lines += ["  " + line for line in data.problems.text(shown).splitlines()]
    return "\n".join(lines)


def counted(count: int, one: str, many: str | None = None) -> str:
    """ "1 image", "2 images"."""
    return f"{count} {one if count == 1 else many or one + 's'}"
