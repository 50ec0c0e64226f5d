"""Which channels go, for a budget of operations."""

from dataclasses import dataclass

import numpy as np

from keras_ssd.pruning.tracing import Traced


@dataclass(frozen=True)
class Widths:
    """What numbers of channels are allowed.

    Args:
        multiple_of: a layer that loses channels keeps a multiple of this number; engines compute such layers faster.
        min_channels: a layer keeps at least so many, or all that it has.
    """

    multiple_of: int = 8
    min_channels: int = 8

    def below(self, count: int) -> int | None:
        """The next smaller number of channels, or None."""
        smaller = (count - 1) // self.multiple_of * self.multiple_of
        return smaller if smaller >= max(self.min_channels, 1) else None


def flops_of(traced: Traced, alive: np.ndarray | None = None) -> int:
    """FLOPs of one image in all convolutions and dense layers; a multiplication with an addition counts as two.

    Args:
        traced: the network's `Traced`.
        alive: which groups are there; None for all.
    """
    alive = np.ones(traced.num_groups, bool) if alive is None else alive
    return sum(work.flops(alive) for work in traced.works)


def sets_of(traced: Traced) -> list[np.ndarray]:
    """The groups that may go, by the layers that make them: a number of channels is chosen for each set."""
    makers = {}
    for layer, groups in traced.makers.items():
        for group in np.setdiff1d(groups, traced.kept):
            makers.setdefault(int(group), []).append(layer)
    sets = {}
    for group, layers in sorted(makers.items()):
        sets.setdefault(tuple(layers), []).append(group)
    return [np.array(groups) for groups in sets.values()]


def chosen(traced: Traced, importance: np.ndarray, budget: float, widths: Widths, per_flop: bool = True) -> np.ndarray:
    """Which groups stay; the least important go first.

    Args:
        traced: the network's `Traced`.
        importance: (groups,) of each group.
        budget: FLOPs that may be left.
        widths: the allowed numbers of channels.
        per_flop: whether importance is divided by the FLOPs that a group costs, as fits an importance that is the same
            quantity in all layers.

    Returns:
        (groups,) bool. Where the budget cannot be reached, what comes nearest.
    """
    alive = np.ones(traced.num_groups, bool)
    offers = [_Offer(traced, groups[np.argsort(importance[groups], kind="stable")]) for groups in sets_of(traced)]
    left = flops_of(traced)
    while left > budget:
        prices = [offer.price(alive, importance, widths, per_flop) for offer in offers]
        best = min(range(len(offers)), key=prices.__getitem__, default=None)
        if best is None or prices[best] == np.inf:
            break
        offer = offers[best]
        left -= offer.saving
        alive[offer.next] = False
        for other in offers:
            other.outdated |= bool(offer.works & other.works)
    return alive


class _Offer:
    """A set of groups, the least important first, of which the next few may go."""

    def __init__(self, traced, ordered):
        self.ordered = ordered
        self.all_works = traced.works
        self.works = {
            place for place, work in enumerate(traced.works) if any(np.isin(axis, ordered).any() for axis in work.axes)
        }
        self.next, self.saving, self.outdated, self._price = ordered[:0], 0, True, np.inf

    def price(self, alive, importance, widths, per_flop):
        """What is lost with the next groups; infinite where none may go."""
        if self.outdated:
            self.outdated = False
            there = self.ordered[alive[self.ordered]]
            fewer = widths.below(len(there))
            self._price = np.inf
            if fewer is not None:
                self.next = there[: len(there) - fewer]
                without = alive.copy()
                without[self.next] = False
                works = [self.all_works[place] for place in self.works]
                self.saving = sum(work.flops(alive) - work.flops(without) for work in works)
                lost = importance[self.next]
                self._price = lost.sum() / max(self.saving, 1) if per_flop else lost.mean()
        return self._price
