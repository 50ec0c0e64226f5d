"""The results of `detect`, which are computed when they are needed, in a loop or by index."""

import collections.abc
import contextlib
import itertools
import operator
import weakref
from collections.abc import Iterator
from typing import Any, overload

from keras_ssd.detections import Detections
from keras_ssd.detections.conversions import data_frame
from keras_ssd.images import ImageError, split_sources

MOST_KEPT = 256  # results of indexing


class Results(collections.abc.Sequence[Detections]):
    """`Detections`, one per image, computed lazily: like a list, without its memory.

    A loop is a stream: images are read ahead in threads, computed in batches, and no result is kept. A second loop
    detects again; `list(results)` keeps them. Indexing computes that image alone and keeps its result, up to 256 of
    them. Slices are results again. `len` counts the images of the sources, without reading them.

    Sources from a generator or another iterator can be iterated once: a second loop over them is an error, and `len` is
    unknown.

    Args:
        detecting: `Detecting`.
        sources: as in `keras_ssd.detect`.
        on_error: "raise", or a function of an `ImageError`. Indexing an image that cannot be read always raises.
        recursive: whether folders include the images of folders below them.

    Example:
        >>> results = model.detect("photos")
        >>> len(results), results[0].names, [len(found) for found in results[:3]]
    """

    def __init__(self, detecting: Any, sources: Any, on_error: Any = "raise", recursive: bool = False) -> None:
        self._detecting, self._on_error = detecting, on_error
        self._jobs = sources if isinstance(sources, _Jobs) else _Jobs(sources, recursive)
        self._kept = {}  # place -> Detections
        self._next: Any = None  # the stream of `next`
        self._streams = weakref.WeakSet()

    def __iter__(self) -> Iterator[Detections]:
        if self._jobs.once and self._next is not None and self._next.gi_frame is not None:  # begun and not over
            return self._next
        stream = self._stream()
        self._streams.add(stream)
        if self._jobs.once:
            self._next = stream
        return stream

    def __next__(self) -> Detections:
        """The next result of a separate stream; for an iterator's images, a loop continues it."""
        if self._next is None:
            self._next = iter(self)
        return next(self._next)

    def to_pandas(self) -> Any:
        """A table of pandas with a row per object of all images; detects in all of them."""
        return data_frame(self)

    def close(self) -> None:
        """Ends every stream and its threads."""
        for stream in list(self._streams):
            stream.close()

    def __len__(self) -> int:
        return len(self._jobs)

    def __bool__(self) -> bool:
        return self._jobs.has(0)

    @overload
    def __getitem__(self, place: int) -> Detections: ...
    @overload
    def __getitem__(self, place: slice) -> "Results": ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Results(self._detecting, self._jobs.part(place), self._on_error)
        place = operator.index(place)
        place = place + len(self) if place < 0 else place
        if place < 0 or not self._jobs.has(place):
            raise IndexError(f"There is no result {place}; the sources name fewer images.")
        if place not in self._kept:
            with contextlib.closing(self._detecting.run([self._jobs.at(place)])) as run:
                [found] = run
            if isinstance(found, ImageError):
                raise found
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[place] = found
        return self._kept[place]

    def __repr__(self) -> str:
        count = "of an iterator" if self._jobs.once else f"of {len(self)} images"
        return f"<Results {count}, computed when asked for>"

    def _stream(self):
        raising = self._on_error == "raise"
        with contextlib.closing(self._detecting.run(self._jobs.stream(), at_once=raising)) as run:
            for found in run:
                if not isinstance(found, ImageError):
                    yield found
                elif raising:
                    raise found
                else:
                    self._on_error(found)


class _Jobs:
    """The images of the sources: each a `Source`, or the `ImageError` of an item without images (an empty folder).

    Attributes:
        once: whether the sources are an iterator, which gives its items once.
    """

    def __init__(self, sources, recursive) -> None:
        self.once = isinstance(sources, collections.abc.Iterator) and not hasattr(sources, "read")
        self._sources, self._recursive = sources, recursive
        self._listed: Any = None if not self.once else []  # the items of an iterator that were used by index
        self._rest: Any = self._expanded() if self.once else None
        self._spent = False

    @classmethod
    def of(cls, jobs):
        """Jobs that are known already."""
        made = cls((), False)
        made._listed = list(jobs)
        return made

    def _expanded(self):
        for part in split_sources(self._sources, recursive=self._recursive):
            try:
                yield from part()
            except ImageError as error:
                yield error

    def stream(self):
        """All of them, from the first on."""
        if not self.once:
            yield from self._expanded() if self._listed is None else self._listed
            return
        if self._spent:
            raise RuntimeError(
                "The sources were an iterator, and a loop has gone through it. Keep the results with list(...), or "
                "pass a list of sources."
            )
        self._spent = True
        yield from self._listed
        yield from self._rest

    def _known(self):
        if self._listed is None:
            self._listed = list(self._expanded())
        return self._listed

    def has(self, place):
        """Whether there is such a place, from 0 on."""
        if self.once and not self._spent:
            self._listed += itertools.islice(self._rest, max(0, place + 1 - len(self._listed)))
        return place < len(self._known())

    def at(self, place):
        """The one at a place that there is."""
        return self._known()[place]

    def part(self, places):
        """`_Jobs` of a slice."""
        start, stop, step = places.start, places.stop, places.step
        simple = stop is not None and stop >= 0 and (start or 0) >= 0 and (step or 1) > 0
        if self.once and simple:
            self.has((stop or 0) - 1)
            return _Jobs.of(self._listed[places])
        len(self)
        return _Jobs.of(self._known()[places])

    def __len__(self) -> int:
        if self.once:
            raise TypeError(
                "The number of results is not known: the sources are an iterator. Pass a list of sources, or keep the "
                "results with list(...)."
            )
        return len(self._known())
