"""Tables on a terminal."""

from collections.abc import Iterable, Sequence


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    dim: Sequence[bool] = (),
) -> None:
    """Prints a table whose long cells are folded.

    Args:
        titles: of the columns.
        rows: texts, one per column.
        right: titles of the columns whose texts stand at the right.
        whole: titles of the columns that are never folded.
        dim: whether each row is less important.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", justify="right" if title in right else "left", no_wrap=title in whole)
    for place, row in enumerate(rows):
        table.add_row(*row, style="dim" if dim and dim[place] else None)
    Console().print(table, highlight=False, markup=False)
