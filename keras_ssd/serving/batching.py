"""Images of requests that come at the same time are computed together."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Compute = Callable[[Sequence[np.ndarray], Sequence[float]], Sequence[np.ndarray]]


class _Job(NamedTuple):
    image: np.ndarray
    confidence: float
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


class Batcher:
    """A thread that computes what waits: one image alone at once, and what comes meanwhile as the next batch.

    No request waits for others to come, so a batch costs no time, and batches grow with the load by themselves.

    Args:
        compute: function of images and their confidences; gives the rows of each.
        most: images in one batch.
        tell: function that is called with the size of each batch.
    """

    def __init__(self, compute: Compute, most: int, tell: Callable[[int], Any]) -> None:
        self._compute, self._most, self._tell = compute, most, tell
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="keras_ssd-serve", daemon=True)
        self._thread.start()

    async def rows(self, image: np.ndarray, confidence: float) -> np.ndarray:
        """The rows of an image.

        Raises:
            Exception: whatever computing it raised.
        """
        loop = asyncio.get_running_loop()
        job = _Job(image, confidence, loop, loop.create_future())
        self._waiting.put(job)
        return await job.answer

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends the thread after what waits."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self):
        over = False
        while not over:
            jobs = [self._waiting.get()]
            while len(jobs) < self._most and not self._waiting.empty():
                jobs.append(self._waiting.get())
            over = None in jobs
            wanted = [job for job in jobs if job is not None and not job.answer.cancelled()]
            if wanted:
                self._tell(len(wanted))
                self._answer(wanted)

    def _answer(self, jobs):
        try:
            found = self._compute([job.image for job in jobs], [job.confidence for job in jobs])
        except Exception as error:
            if len(jobs) > 1:  # so that an image that fails takes no other with it
                for job in jobs:
                    self._answer([job])
                return
            found = [error]
        for job, result in zip(jobs, found, strict=True):
            job.loop.call_soon_threadsafe(_settle, job.answer, result)


def _settle(answer, result):
    if answer.done():  # the client went away
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
