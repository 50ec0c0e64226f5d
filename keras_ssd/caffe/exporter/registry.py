"""Which function writes which kind of Keras layer."""

from collections.abc import Callable
from typing import Any, TypeVar

from keras_ssd.caffe.exporter.blobs import Blob

Writer = TypeVar("Writer", bound=Callable[..., Blob])

WRITERS: dict[Any, Callable[..., Blob]] = {}


def writes(*classes: Any) -> Callable[[Writer], Writer]:
    """Registers a function as the writer of these layer classes.

    A writer is `function(step, layer, *inputs)` with a `writing.Step`, the Keras layer and `Blob`s; it returns a
    `Blob`.
    """

    def register(function: Writer) -> Writer:
        for cls in classes:
            if cls in WRITERS:
                raise ValueError(f"{cls.__name__} has two writers.")
            WRITERS[cls] = function
        return function

    return register
