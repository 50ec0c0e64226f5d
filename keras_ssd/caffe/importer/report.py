"""The result of an import: a line for every layer of the net, the decisions made, and the unused arrays."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReportRow:
    """One layer of the net.

    Args:
        layer, kind: its name and type in Caffe.
        shape: of its blob, in Caffe's order, with None for the batch; empty for a layer without a blob.
        parameters: values that it has in the file.
        note: its place in the model, if not plain: merged, removed, skipped.
    """

    layer: str
    kind: str
    shape: tuple[int | None, ...] = ()
    parameters: int = 0
    note: str = ""


@dataclass(frozen=True)
class ImportReport:
    """What `from_caffe` made of a net; `str()` is a readable table.

    Args:
        source: the files.
        rows: a `ReportRow` for every layer.
        choices: decisions made for the user, one sentence each.
        unused: (layer/blob, shape) of arrays in the file that the net does not use.
        parameters: number of values written.
    """

    source: str
    rows: tuple[ReportRow, ...]
    choices: tuple[str, ...]
    unused: tuple[tuple[str, tuple[int, ...]], ...] = ()
    parameters: int = 0

    def __str__(self) -> str:
        cells = [("layer", "kind", "shape", "parameters", "")]
        cells += [
            (r.layer, r.kind, shape_text(r.shape), f"{r.parameters:,}" if r.parameters else "", r.note)
            for r in self.rows
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
            for a, b, c, d, e in cells
        ]
        return "\n".join([*lines, "", self.summary])

    @property
    def summary(self) -> str:
        """The decisions and the unused arrays, without the table."""
        lines = [f"{self.source}: {self.parameters:,} values in {len(self.rows)} layers.", *self.choices]
        if self.unused:
            listed = ", ".join(f"{name} {shape_text(shape)}" for name, shape in self.unused[:20])
            more = ", ..." if len(self.unused) > 20 else ""
            lines.append(f"Not needed from the weights ({len(self.unused)} arrays): {listed}{more}.")
        return "\n".join(lines)


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape in the form 64x38x38."""
    return "x".join("?" if side is None else str(side) for side in (shape[1:] if shape[:1] == (None,) else shape))
