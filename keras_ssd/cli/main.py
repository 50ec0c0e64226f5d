"""Entry point of `keras-ssd`: parses, dispatches, and turns expected errors into one line and an exit code."""

import argparse
import contextlib
import importlib
import os
import sys

COMMANDS = ("demo", "detect", "train", "evaluate", "data", "anchors", "convert", "zoo", "doctor")


def _parser():
    from keras_ssd._version import __version__

    parser = argparse.ArgumentParser(
        prog="keras-ssd",
        description="SSD object detection for Keras 3: detect objects, train detectors, measure and convert them.",
        epilog="`keras-ssd COMMAND --help` explains a command with examples.",
    )
    parser.add_argument("--version", action="version", version=f"keras-ssd {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback when a command fails")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"keras_ssd.cli.{name}").add_parser(commands)
    return parser


def start_backend():
    """Imports Keras and its backend, without the chatter of TensorFlow's start."""
    from keras_ssd._environment import choose_backend
    from keras_ssd.cli.quiet import quiet_backend

    choose_backend()
    with quiet_backend():
        import keras_ssd.models  # noqa: F401


def main(argv=None):
    """Runs one command.

    Args:
        argv: list of strings, or None for the process's own arguments.

    Returns:
        The exit code: 0 all done, 1 some inputs failed, 2 nothing could be done, 130 interrupted, 141 output closed.
    """
    # A user wants boxes, not the start-up messages of TensorFlow; whoever wants them sets the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    args = _parser().parse_args(argv)
    try:
        if getattr(args, "needs_backend", True):
            start_backend()
        code = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        with contextlib.suppress(OSError, ValueError):  # else Python complains when it closes the output at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell calls a process that SIGPIPE ended
    except Exception as error:
        if args.traceback:
            raise
        print(f"keras-ssd {args.command}: {_told(error)}", file=sys.stderr)
        return 2


def _told(error):
    """An error as a user should read it: those meant for users as they are, all others with a way to find out more."""
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and str(error):
        return error
    if isinstance(error, MemoryError):
        return f"there is not enough memory. Try a smaller --batch-size. {error}".rstrip()
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"failed unexpectedly ({what}). `keras-ssd --traceback ...` shows where."
