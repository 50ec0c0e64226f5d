"""Images that turn out to be unreadable while they are used, although they were whole when the data were read."""

import logging
import threading
from typing import Any

from keras_ssd.data.problems import DEFAULT_POLICY, DataError, Problems
from keras_ssd.data.sample import Sample
from keras_ssd.data.whole import only_whole, unusable

ADVICE = "Mend them or leave them out; reading the data with policy='drop' leaves them out."
log: logging.Logger = logging.getLogger("keras_ssd")


class Unreadable:
    """Reads samples, and applies the policy to those that cannot be read; threads may share it.

    Args:
        dataset: `Dataset`, or any sequence of `Annotation`s, whose policy is "error".
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset: Any = dataset
        self.policy: str = getattr(dataset, "policy", DEFAULT_POLICY)
        self._found = {}  # place in the dataset -> Problem
        self._lock = threading.Lock()
        self._refusal = None

    @property
    def problems(self) -> Problems:
        """`Problems` of the images that were left out, in the order of the dataset."""
        with self._lock:
            return Problems(problem for _, problem in sorted(self._found.items()))

    def sample(self, index: int) -> Sample:
        """The `Sample` at an index, or the next one that can be read, independent of the threads.

        Raises:
            DataError: it cannot be read and the policy is "error", or none can; the message names every such image.
        """
        count = len(self.dataset)
        for step in range(count):
            place = (index + step) % count
            if place in self._found:
                continue
            try:
                return Sample.of(self.dataset[place])
            except (ValueError, OSError) as error:  # a ImageError is a ValueError
                self.note(place, error)
        raise DataError(self.problems, "No image of the data can be read.")

    def note(self, place: int, error: Exception) -> None:
        """Records the error of an image that cannot be read.

        Raises:
            DataError: the policy is "error". It names every image of the dataset that cannot be read.
        """
        problem = unusable(self.dataset[place], error)
        if self.policy == "error":
            raise self._refused(problem) from None
        with self._lock:
            if place not in self._found:
                self._found[place] = problem
                log.warning("%s", problem)

    def _refused(self, problem):
        with self._lock:
            if self._refusal is None:
                every = []
                only_whole([self.dataset[place] for place in range(len(self.dataset))], every)
                if problem.image not in {other.image for other in every}:
                    every.append(problem)
                self._refusal = DataError(Problems(every), ADVICE)
        return self._refusal
