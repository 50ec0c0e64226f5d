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
    """The items one by one, with a progress bar if `wanted` and stderr is a terminal."""
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
    """Runs `work` on items in threads, with a progress bar; yields an iterator of (item, future) in order.

    The threads end with the block. If garbage collection ended them, it could wait for them forever inside a thread
    that is being started.
    """
    pairs: Any = map_ahead(work, items, workers=min(8, os.cpu_count() or 1), ahead=16)
    with contextlib.closing(pairs), contextlib.closing(tracked(range(len(items)), title, wanted)) as bar:
        yield (pair for pair, _ in zip(pairs, bar, strict=False))
