"""How datasets are cut into random parts, and joined without an image or a name that occurs twice."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.data.annotation import Annotation


def random_parts(keys: Sequence[Any], shares: Sequence[float], seed: int) -> list[list[int]]:
    """Indices of images in random parts of these shares (sum 1); images with the same key stay together."""
    order = list(dict.fromkeys(keys))
    order = [order[place] for place in np.random.default_rng(seed).permutation(len(order))]
    members = {key: [] for key in order}
    for place, key in enumerate(keys):
        members[key].append(place)
    limits = np.rint(np.cumsum(shares) * len(keys)).astype(int)
    parts, filled = [[] for _ in shares], 0
    for key in order:
        part = int(np.searchsorted(limits, filled, side="right"))
        parts[min(part, len(parts) - 1)] += members[key]
        filled += len(members[key])
    return [sorted(part) for part in parts]


class Joined:
    """Image files and names of datasets that are joined."""

    def __init__(self) -> None:
        self._files, self._names = {}, set()

    def name(self, annotation: Annotation, home: str) -> str:
        """A unique name for an annotation of the dataset `home`: its own, or with the dataset's name as a prefix.

        Raises:
            ValueError: its image file is in another dataset, too.
        """
        if isinstance(annotation.image, str):
            path = os.path.abspath(annotation.image)
            if path in self._files:
                both = f"{self._files[path]} and {home}"
                raise ValueError(f"{path} is an image of both {both}. Leave it out of one of them.")
            self._files[path] = home
        wanted, count = annotation.name, 1
        while wanted in self._names:
            wanted = f"{home}/{annotation.name}" if count == 1 else f"{home}_{count}/{annotation.name}"
            count += 1
        self._names.add(wanted)
        return wanted
