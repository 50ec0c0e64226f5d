"""Imports TensorFlow without the log lines of its C++ code that its settings cannot silence; errors stay visible."""

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
    rb"|INFO: Created TensorFlow Lite "
)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Imports of Keras and TensorFlow inside this block write no chatter, whichever module asks for them first.

    It sets the log levels that the backends read, unless the user has set them.
    """
    os.environ.setdefault(LEVEL, "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    finder: Any = _QuietFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


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
    """Holds back standard error, and writes all but the known chatter at the end.

    Nothing is held back if `TF_CPP_MIN_LOG_LEVEL` is 0 or 1. Python's own standard error is delayed too, so nothing
    inside this block should show progress there.
    """
    if os.environ.get(LEVEL) in ("0", "1"):
        yield
        return
    with _held_back() as (held, real):
        try:
            yield
        finally:
            if held is not None:
                _pass_on(held, real)


@contextlib.contextmanager
def telling_backend() -> Iterator[list[str]]:
    """Holds back standard error, and drops it, for callers that look there for the reason of a failure.

    The list holds the text when the block has ended.
    """
    told: list[str] = []
    with _held_back() as (held, _):
        try:
            yield told
        finally:
            if held is not None:
                sys.stderr.flush()
                held.seek(0)
                told.append(held.read().decode("utf-8", "replace"))


@contextlib.contextmanager
def _held_back() -> Iterator[tuple[Any, int]]:
    """(a file with what is written to standard error, the descriptor of standard error), or (None, -1) without one."""
    with contextlib.ExitStack() as stack:
        try:
            sys.stderr.flush()
            real = os.dup(2)
        except (OSError, AttributeError, ValueError):  # there is no standard error
            yield None, -1
            return
        stack.callback(os.close, real)
        held = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(held.fileno(), 2)
        try:
            yield held, real
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)


def _pass_on(held, descriptor):
    sys.stderr.flush()
    held.seek(0)
    for line in held:
        if not _CHATTER.match(line):
            os.write(descriptor, line)
