"""The one error of this package, and the names it calls pictures by."""

import os


class PictureError(ValueError):
    """A picture that cannot be read.

    Attributes:
        source: the picture's path, URL or description.
        reason: what is wrong with it, without the name.
    """

    def __init__(self, source, reason):
        super().__init__(f"Cannot read picture {source}: {reason}")
        self.source = str(source)
        self.reason = reason

    def __reduce__(
        self,
    ):  # the two arguments do not follow from `args`, which pickling between processes would use
        return type(self), (self.source, self.reason)


def describe(source):
    """A short name of a source for messages: the path or URL itself, or what kind of object it is."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    shape = getattr(source, "shape", None)
    if shape is not None:
        return f"{type(source).__name__} of shape {tuple(shape)}"
    size = getattr(source, "size", None)
    return f"{type(source).__name__} of size {size}" if size is not None else type(source).__name__
