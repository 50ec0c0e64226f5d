"""Numbers for the channels of feature maps: channels that only go together have one number in the end."""

import numpy as np


class Channels:
    """A partition of channels into groups, which grows while a network's graph is read."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._kept: list[int] = []

    def fresh(self, count: int) -> np.ndarray:
        """New channels, each in a group of its own."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def tie(self, some: np.ndarray, others: np.ndarray) -> None:
        """Puts channels of the same place in both arrays into one group."""
        for one, other in zip(some, others, strict=True):
            self._parents[self._root(one)] = self._root(other)

    def keep(self, channels: np.ndarray) -> None:
        """Says that these channels cannot go."""
        self._kept.extend(channels)

    def groups(self) -> np.ndarray:
        """The group of each channel."""
        return np.array([self._root(channel) for channel in range(len(self._parents))], int)

    def kept(self) -> np.ndarray:
        """The groups that cannot go, sorted."""
        return np.unique([self._root(channel) for channel in self._kept]).astype(int)

    def _root(self, channel):
        root = int(channel)
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[channel] != root:
            self._parents[channel], channel = root, self._parents[channel]
        return root
