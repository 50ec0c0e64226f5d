"""What an engine is: a runtime that computes the network of a detector."""

from __future__ import annotations  # the help of commands imports this without numpy

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


FLOAT32, BFLOAT16, AUTO = "float32", "bfloat16", "auto"
PRECISIONS = (FLOAT32, BFLOAT16)
EXTRA = "fast"  # of this package; it brings the packages of every engine


class EngineError(ValueError):
    """An engine, or a file for one, that cannot serve; the text says what to do."""


class MissingRuntimeError(ImportError):
    """A runtime that is not installed; the text names the extra that brings it."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a program.

    Args:
        name: of the tensor in the file.
        shape: lengths of the axes, None for any.
        dtype: of numpy.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Program(Protocol):
    """What a runtime makes of a file: a function of arrays. It may be called from several threads.

    Attributes:
        inputs, outputs: a `Tensor` each.
        properties: {key: text}, what the file says of itself.
        runtime: name and version of the runtime.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    properties: Mapping[str, str]
    runtime: str

    def __call__(self, array: np.ndarray) -> list[np.ndarray]:
        """The outputs for the first input, in their order."""
        ...


@dataclass(frozen=True)
class Engine:
    """A runtime that computes the network of a detector; a module of `keras_ssd.engines.runtimes` each.

    Args:
        name: as `detect(engine=...)` takes it.
        packages: modules that must be there to compute a model of Keras, with those that write it for the runtime.
        runtime: the module among them that opens files; None for Keras itself, which computes its own models.
        place: among the engines that `auto` tries, the smallest first.
        endings: of the files that it runs.
        precisions: function that gives the precisions in which this machine computes fast.
        refuses: function of a model that raises an error where the model cannot be written for the runtime.
        written: function of a model that gives what `opened` takes: a program from `images` (B, H, W, 3) uint8 to
            `logits` (B, N, C + 1) and `offsets` (B, N, 4).
        opened: function of that, or of the path of a file, and a precision, that gives a `Program`.
    """

    name: str
    packages: tuple[str, ...] = ()
    runtime: str | None = None
    place: int = 0
    endings: tuple[str, ...] = ()
    precisions: Callable[[], tuple[str, ...]] = lambda: (FLOAT32,)
    refuses: Callable[[Any], None] = lambda model: None
    written: Callable[[Any], bytes] | None = None
    opened: Callable[[bytes | Path, str], Program] | None = None

    @property
    def is_keras(self) -> bool:
        """Whether Keras itself computes."""
        return self.runtime is None

    def missing(self, files_only: bool = False) -> tuple[str, ...]:
        """The packages that are not installed; `files_only` asks for what opens files alone."""
        needed = ((self.runtime,) if self.runtime else ()) if files_only else self.packages
        return tuple(package for package in needed if not _is_installed(package))

    def insist(self, files_only: bool = False) -> None:
        """Refuses to go on without the packages.

        Raises:
            MissingRuntimeError: the text names the extra.
        """
        missing = self.missing(files_only)
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            are = "is" if len(missing) == 1 else "are"
            raise MissingRuntimeError(
                f"The engine {self.name} needs the package{'s' * (len(missing) > 1)} {names}, which {are} not "
                f"installed: pip install 'keras-ssd[{EXTRA}]'"
            )


def _is_installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a parent of it is missing, or a test has put None in its place
        return False
