"""What `fit` is fed with, and the errors that happen there."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def telling_failures(*sources: Any) -> Iterator[None]:
    """Raises the error that ended a source of batches instead of the error that the backend made of it.

    TensorFlow calls a source inside its graph and reports "PyFunction errors" and iterators. `sources` are `x` and
    `validation_data` of `fit`; `keras_ssd.data.Batches` keep such an error as `failure`.
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


def fit_without_end(fit: Callable[..., Any], source: Any, options: dict[str, Any]) -> Any:
    """Calls `fit` with one iterator over all epochs, see `keras_ssd.data.batches.EndlessBatches`.

    Args:
        fit: Keras's.
        source: `Batches`.
        options: keyword arguments of `fit`, without `steps_per_epoch`.
    """
    endless, history = source.endless(), None
    try:
        # The order is the source's own; Keras would warn that it cannot shuffle.
        history = fit(endless, **{**options, "steps_per_epoch": len(source), "shuffle": False})
        return history
    finally:
        endless.end(0 if history is None else len(history.epoch))
