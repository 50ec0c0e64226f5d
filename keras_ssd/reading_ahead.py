"""Work in threads, results in order: how reading images overlaps with the network."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator, Iterable
from typing import Any


def map_ahead(
    work: Callable[[Any], Any], items: Iterable[Any], *, workers: int, ahead: int
) -> Generator[Any, None, None]:
    """Runs `work` on items in threads, a bounded number of items ahead of whoever takes the results.

    Closing the generator, which Python also does when a loop over it is left, cancels what has not begun and
    waits for what has: no thread outlives it.

    Args:
        work: function of one item; it should spend its time in code that releases the interpreter lock.
        items: iterable, taken lazily in the caller's thread.
        workers: number of threads.
        ahead: how many results may be waiting, at least 1. Memory is bounded by it.

    Yields:
        (item, future) in the order of the items; `future.result()` waits, and raises what `work` raised.
    """
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="keras_ssd-read")
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
