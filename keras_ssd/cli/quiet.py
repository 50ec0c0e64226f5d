"""Silence where TensorFlow's C++ code talks before its log settings apply, without hiding an error."""

import contextlib
import os
import re
import sys
import tempfile

# absl's start-up notice, and information and warning lines of absl ("I0000 00:00:17 ...") and TensorFlow.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IW]\d{4} \d\d:\d\d:[\d.]+ "
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+: [IW] "
)


@contextlib.contextmanager
def quiet_backend():
    """Holds back what is written to file descriptor 2 and passes on all but known chatter at the end.

    Python's own standard error goes the same way, so nothing that runs inside should show progress there.
    """
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
