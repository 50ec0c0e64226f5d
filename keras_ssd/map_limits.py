"""How large a feature map may be that a model is built with: one limit, for every reader and factory.

A few bytes of a file (`pad: 100000`) or one number too many in a size ask for gigabytes when the model first runs. So
a map is measured when its layer is built, before any memory is taken.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from keras_ssd import wording
from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import nodes_of_layer

MAX_MAP_BYTES = 1 << 31  # of one image in float32; SSD512's largest map has 64 MiB
_limit: int = MAX_MAP_BYTES


@checked_arguments
@contextlib.contextmanager
def map_limit(max_map_bytes: int | None) -> Iterator[None]:
    """Inside this context, models may have feature maps of this many bytes.

    Args:
        max_map_bytes: of one map of one image, four bytes per value; None changes nothing.

    Example:
        >>> with keras_ssd.map_limit(8 << 30):
        ...     model = keras_ssd.ssd300(input_size=(8000, 8000))
    """
    global _limit
    before = _limit
    _limit = checked_limit(max_map_bytes) or before
    try:
        yield
    finally:
        _limit = before


def checked_limit(max_map_bytes: int | None) -> int | None:
    """The limit, or None; raises ValueError if it is not a number of bytes."""
    whole = isinstance(max_map_bytes, int) and not isinstance(max_map_bytes, bool)
    if max_map_bytes is not None and (not whole or max_map_bytes < 1):
        raise ValueError(f"`max_map_bytes` must be a whole number from 1 on. Received: max_map_bytes={max_map_bytes!r}")
    return max_map_bytes


def check_map(what: str, shape: Sequence[int | None]) -> None:
    """Refuses a map beyond the limit.

    Args:
        what: the beginning of the message: "Layer 'conv1'".
        shape: of the tensor; the batch and sizes that are not known, None, count as one.

    Raises:
        ValueError: it is larger.
    """
    size = 4 * math.prod(side for side in shape if side is not None)
    if size > _limit:
        raise ValueError(
            f"{what} would make a map of {'x'.join(str(side) for side in shape if side is not None)}, {size:,} bytes "
            f"an image, and at most {_limit:,} are built. Is a size or a pad wrong?"
            + wording.python_or_shell(
                " If not, raise the limit: `with keras_ssd.map_limit(max_map_bytes):`.",
                wording.advice("max_map_bytes", "If not, raise the limit with {}."),
            )
        )


def check_model(model: Any) -> None:
    """Refuses a functional model with a map beyond the limit; arguments of `check_map`."""
    for layer in model.layers:
        for node in nodes_of_layer(layer):
            for tensor in node.output_tensors:
                check_map(f"Layer '{layer.name}' of model '{model.name}'", tensor.shape)
