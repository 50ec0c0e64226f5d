"""Silence where TensorFlow's C++ code talks before its log settings apply, without hiding an error."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# absl's start-up notice, and information and warning lines of absl ("I0000 00:00:17 ...") and TensorFlow.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IW]\d{4} \d\d:\d\d:[\d.]+ "
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+: [IW] "
)


def silence_backend() -> None:
    """Sets the log levels that the backends read, where the user has not: a program's output is its own."""
    os.environ.setdefault(LEVEL, "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def quiet_imports() -> None:
    """Imports Keras and TensorFlow in silence, whichever module of the program asks for them first."""
    if not any(isinstance(finder, _QuietFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
    """Finds `keras` and `tensorflow` as usual, and runs them inside `quiet_backend`."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in ("keras", "tensorflow") else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def quietly(module: Any) -> None:
            with quiet_backend():
                execute(module)

        spec.loader.exec_module = quietly
        return spec


@contextlib.contextmanager
def quiet_backend() -> Iterator[None]:
    """Holds back what is written to file descriptor 2 and passes on all but known chatter at the end.

    Who set `TF_CPP_MIN_LOG_LEVEL` to 0 or 1 wants the chatter, and gets it.

    Python's own standard error goes the same way, so nothing that runs inside should show progress there.
    """
    if os.environ.get(LEVEL) in ("0", "1"):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            sys.stderr.flush()
            real = os.dup(2)
        except (OSError, AttributeError, ValueError):  # no standard error at all: nothing to silence
            yield
            return
        stack.callback(os.close, real)
        held = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            _pass_on(held, real)


def _pass_on(held, descriptor):
    held.seek(0)
    for line in held:
        if not _CHATTER.match(line):
            os.write(descriptor, line)
