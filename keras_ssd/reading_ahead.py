"""Work in threads, results in order: how reading images overlaps with the network."""

import collections
import concurrent.futures
import contextlib
import itertools
import queue
import threading
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
        ahead: how many results may be waiting; 0 for none. Memory is bounded by it.

    Yields:
        (item, future) in the order of the items; `future.result()` waits, and raises what `work` raised.
    """
    items = iter(items)
    first = list(itertools.islice(items, 2 if ahead else 1))
    if len(first) < 2 and ahead:  # starting a thread takes longer than it saves
        for item in first:
            yield item, _done(work, item)
        return
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="keras_ssd-read")
    waiting = collections.deque()
    try:
        for item in itertools.chain(first, items):
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(work, item):
    """A future that holds what `work` gives or raises."""
    future = concurrent.futures.Future()
    try:
        future.set_result(work(item))
    except Exception as error:
        future.set_exception(error)
    return future


def read_ahead(items: Iterable[Any], ahead: int) -> Generator[Any, None, None]:
    """Takes items in a thread, a bounded number of them ahead of whoever takes them here.

    Closing the generator ends the thread, which closes the iterator of `items`.

    Args:
        items: iterable whose work is done while it is gone through, such as decoding.
        ahead: how many items may be waiting, at least 1.
    """
    waiting, stop, end = queue.Queue(ahead), threading.Event(), object()

    def put(item):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def take():
        iterator = iter(items)
        try:
            for item in iterator:
                put((item, None))
                if stop.is_set():
                    return
            put((end, None))
        except BaseException as error:  # for whoever takes the items
            put((end, error))
        finally:
            getattr(iterator, "close", lambda: None)()

    thread = threading.Thread(target=take, name="keras_ssd-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()
