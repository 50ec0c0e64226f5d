"""A progress bar for scans of many files, in one thread or several."""

import concurrent.futures
import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from keras_ssd.reading_ahead import map_ahead

T = TypeVar("T")


def tracked(items: Sequence[T], title: str, wanted: bool = True) -> Generator[T, None, None]:
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


@contextlib.contextmanager
def worked_ahead(
    work: Callable[[T], Any], items: Sequence[T], title: str, wanted: bool = True
) -> Iterator[Iterator[tuple[T, "concurrent.futures.Future[Any]"]]]:
    """Runs `work` on items in threads, with a progress bar on a terminal.

    The threads end with the block, whatever ends it. Were that left to the garbage collector, it might wait for them
    within a thread that is being started, for ever.

    Args:
        work: function of one item.
        items: sequence.
        title, wanted: as `tracked` takes them.

    Yields:
        An iterator of (item, future) in the order of the items.
    """
    pairs: Any = map_ahead(work, items, workers=min(8, os.cpu_count() or 1), ahead=16)
    with contextlib.closing(pairs), contextlib.closing(tracked(range(len(items)), title, wanted)) as bar:
        yield (pair for pair, _ in zip(pairs, bar, strict=False))
