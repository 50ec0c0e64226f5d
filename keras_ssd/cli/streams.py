"""Standard output and standard error of a command: any encoding, a closed pipe, Ctrl-C."""

import codecs
import contextlib
import io
import os
import sys
import types
from collections.abc import Iterator

# What this package and rich write beside ASCII, for terminals that cannot show it.
_PLAIN = {"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00d7": "x", "\u2026": "...", "\u2192": "->", "\u00b2": "^2"}
_PLAIN |= {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2022": "*", "\u2501": "-", "\u2500": "-"}


def _plain(error):
    """An error handler for encoding: a plain likeness where there is one, else an escape that loses nothing."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in part)
    return text, error.end


def prepare() -> None:
    """Lets both streams take every character, file names that are no Unicode included."""
    codecs.register_error("keras_ssd.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="keras_ssd.plain")


@contextlib.contextmanager
def whole_output() -> Iterator[types.SimpleNamespace]:
    """Ends a command whose reader left, as `head` does, or that was interrupted, with the code that shells expect.

    Yields:
        A namespace; its `code` becomes the exit code: 130 where interrupted, 141 where the output was closed.
    """
    ending = types.SimpleNamespace(code=0)
    try:
        try:
            yield ending
        except SystemExit:  # help, and errors of the command line
            _flush()
            raise
        _flush()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        ending.code = 130
    except BrokenPipeError:
        _leave_output()
        ending.code = 141  # what a shell calls a process that SIGPIPE ended


def _flush():
    if sys.stdout is not None:  # closed before the command began
        sys.stdout.flush()


def _leave_output():
    """Points standard output elsewhere; else Python complains when it closes it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
