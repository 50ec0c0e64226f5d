"""A progress bar on stderr, if that is a terminal."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


class Silent:
    """Has the methods of the bar and shows nothing."""

    def start(self, total: int | None, done: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, progress, task):
        self._progress = progress
        self._task = task

    def start(self, total, done):
        self._progress.reset(self._task, total=total, completed=done)

    def advance(self, count):
        self._progress.advance(self._task, count)

    def say(self, text):
        self._progress.console.print(text, highlight=False, markup=False)


@contextlib.contextmanager
def bar(title: str, wanted: bool) -> Iterator[Any]:
    """A download's progress bar, an object with `start(total, done)`, `advance(count)` and `say(text)`.

    It is shown if `wanted` and stderr is a terminal.
    """
    if not wanted or not sys.stderr.isatty():
        yield Silent()
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        yield _Bar(shown, shown.add_task(title, total=None))
