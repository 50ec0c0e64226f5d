"""What `fit` is fed with, and the errors that happen there."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def telling_failures(*sources: Any) -> Iterator[None]:
    """Raises the error that ended a source of batches, where the backend made another one of it.

    TensorFlow calls a source from within its graph and tells of "PyFunction errors" and iterators instead.

    Args:
        sources: what `fit` takes as `x` and `validation_data`. `keras_ssd.data.Batches` keep such an error as
            `failure`.
    """
    telling = [source for source in sources if hasattr(source, "failure")]
    for source in telling:
        source.failure = None
    try:
        yield
    except Exception:
        for source in telling:
            if source.failure is not None:
                raise source.failure from None
        raise
