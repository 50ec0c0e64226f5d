"""What `fit` is fed with, and the errors that happen there."""

import contextlib


@contextlib.contextmanager
def telling_failures(*sources):
    """Raises the error that ended a source of batches, where the backend made another one of it.

    TensorFlow calls a source from within its graph and tells of "PyFunction errors" and iterators instead.

    Args:
        sources: what `fit` takes as `x` and `validation_data`. `keras_ssd.data.Batches` keep such an error as
            `failure`.
    """
    sources = [source for source in sources if hasattr(source, "failure")]
    for source in sources:
        source.failure = None
    try:
        yield
    except Exception:
        for source in sources:
            if source.failure is not None:
                raise source.failure from None
        raise
