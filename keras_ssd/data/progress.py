"""A progress bar for scans of many files."""

import sys


def tracked(items, title, wanted=True):
    """The items one by one, with a progress bar on a terminal.

    Args:
        items: sequence.
        title: what is done with them.
        wanted: False for no bar; there is none either when stderr is no terminal.

    Yields:
        The items.
    """
    if not wanted or not sys.stderr.isatty():
        yield from items
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield from shown.track(items, total=len(items), description=title)
