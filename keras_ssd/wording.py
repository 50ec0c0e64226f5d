"""How messages name an argument: as Python spells it, or as the option of the command that the user typed.

A message that names an argument asks here for its name. Who calls a function reads `weights_classes`; who typed
`keras-ssd detect` reads --labels for the same thing, because the command said so with `as_options` when it started.
"""

import contextlib

_options = None  # {argument: option} while a command runs, which speaks to a shell; None for Python


@contextlib.contextmanager
def as_options(options):
    """While it lasts, messages name the options of a command instead of Python's arguments.

    Args:
        options: {name of an argument in Python: what the command calls it, "--labels"}.
    """
    global _options
    before, _options = _options, dict(options)
    try:
        yield
    finally:
        _options = before


def argument(name):
    """The name of an argument in a sentence: `` `max_pixels` ``, --max-pixels, or words without one."""
    if _options is None:
        return f"`{name}`"
    return _options.get(name) or name.replace("_", " ")


def setting(name, value):
    """An argument and its value: `iou_threshold=0.5`, --iou-threshold 0.5."""
    if _options is None:
        return f"{name}={value}"
    return f"{argument(name)} {value}"


def advice(name, text):
    """A sentence that advises an argument, with a space before it; nothing where the command has no such option.

    Args:
        name: of the argument.
        text: with `{}` where the argument is named.
    """
    if _options is None:
        return " " + text.format(f"`{name}=`")
    return " " + text.format(_options[name]) if name in _options else ""


def python_or_shell(python, shell):
    """The text for who writes Python, or the one for who typed a command."""
    return python if _options is None else shell
