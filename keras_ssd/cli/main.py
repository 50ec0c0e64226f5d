"""Entry point of `keras-ssd`: parses, dispatches, and turns expected errors into one line and an exit code."""

import argparse
import contextlib
import importlib
import logging
import sys
from collections.abc import Sequence

from keras_ssd import wording
from keras_ssd._quiet import quiet_imports
from keras_ssd.cli import streams
from keras_ssd.cli.backend import start_backend
from keras_ssd.cli.parsing import Parser
from keras_ssd.map_limits import map_limit

COMMANDS = (
    *(
        "demo",
        "detect",
        "train",
        "tune",
        "prune",
        "evaluate",
        "benchmark",
        "label",
        "data",
        "anchors",
        "convert",
        "export",
        "serve",
        "zoo",
        "doctor",
    ),
    "completion",
)


def make_parser() -> Parser:
    """The parser of the whole command line with every command; imports nothing heavy."""
    from keras_ssd._version import __version__

    parser = Parser(
        prog="keras-ssd",
        description="SSD object detection for Keras 3: detect objects, train detectors, measure\nand convert them.",
        epilog="`keras-ssd COMMAND --help` explains a command with examples.",
    )
    parser.add_argument("--version", action="version", version=f"keras-ssd {__version__}")
    _add_traceback(parser, default=False, help="show the whole traceback when a command fails")
    commands = parser.add_commands("command", "COMMAND")
    for name in COMMANDS:
        _module(name).add_parser(commands)
    for leaf in parser.leaves():  # people add it at the end of the command that failed
        _add_traceback(leaf, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _add_traceback(parser, **options):
    parser.add_argument("--traceback", action="store_true", **options)


def _module(command):
    return importlib.import_module(f"keras_ssd.cli.{command}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: list of strings, or None for the process's own arguments.

    Returns:
        The exit code: 0 all done, 1 some inputs failed, 2 nothing could be done, 130 interrupted, 141 output closed.

    Raises:
        SystemExit: help or a version was asked for, or the command line is wrong (2).
    """
    streams.prepare()
    with streams.whole_output() as ending, quiet_imports():
        ending.code = _run(sys.argv[1:] if argv is None else argv)
    return ending.code


def _run(argv):
    parser = make_parser()
    args = parser.parse_args(argv, argparse.Namespace(parser=parser))
    options = _options_of(parser, args)
    try:
        with wording.as_options(options), _warnings_told():
            if getattr(args, "needs_backend", True):
                start_backend()
            with map_limit(getattr(args, "max_map_bytes", None)):
                return args.run(args)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:
        if args.traceback:
            raise
        with wording.as_options(options):
            print(f"keras-ssd {args.command}: {_told(error, args)}", file=sys.stderr)
        return 2


class _Told(logging.Formatter):
    def format(self, record):
        return wording.told(super().format(record))


@contextlib.contextmanager
def _warnings_told():
    """While it lasts, warnings of the package are lines on standard error that name options."""
    handler, log = logging.StreamHandler(sys.stderr), logging.getLogger("keras_ssd")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Told())
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _options_of(parser, args):
    """{argument of Python: option of this command}: options of the same name, and what the command's module adds."""
    if args.command is None:
        return {}
    words = ["keras-ssd", args.command, getattr(args, "action", None)]
    [leaf] = [leaf for leaf in parser.leaves() if leaf.prog == " ".join(filter(None, words))] or [parser]
    named = {}
    for action in leaf._actions:
        spellings = [option for option in action.option_strings if option.startswith("--")]
        named[action.dest] = (spellings or [action.metavar or action.dest.upper()])[0]
    more = getattr(_module(args.command), "ARGUMENTS", {})
    return named | {name: option for name, option in more.items() if option in named.values()}


def _told(error, args):
    """The text of an error: as it is where it is meant for users; else with a way to find out more."""
    if _is_of_memory(error):
        smaller = "Try a smaller --batch-size." if hasattr(args, "batch_size") else ""
        said = str(error) if isinstance(error, MemoryError) else ""
        return " ".join(filter(None, ("there is not enough memory.", smaller, said)))
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and str(error):
        return wording.told(str(error))
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"failed unexpectedly ({what}). `keras-ssd --traceback ...` shows where."


def _is_of_memory(error):
    """Whether memory ran out, in Python or in a backend, whose errors are recognised by name and text."""
    named = type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    text = str(error)
    return isinstance(error, MemoryError) or named or "RESOURCE_EXHAUSTED" in text or "can't allocate memory" in text
