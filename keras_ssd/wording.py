"""Names of arguments in messages: as in Python, or as the option of the command that the user typed.

In Python a message names `weights_classes`; for a user of `keras-ssd detect` it names --class-names, because the
command has called `as_options` at its start.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping

_NAMED = re.compile(r"`([a-z_0-9]+)(=[^`]*)?`|\b([a-z_0-9]+)=(?:\[\.\.\.\]|\.\.\.)")
_SETTING = re.compile(r"\b([a-z_0-9]+)='([^']*)'")
_VALUE = re.compile(r"(?:(?<=^)|(?<=, )|(?<= and ))[a-z_][a-z_0-9]*=(?=\S)")
_options: dict[str, str] | None = None  # {argument: option} while a command runs; None in Python


@contextlib.contextmanager
def as_options(options: Mapping[str, str]) -> Iterator[None]:
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


def advice(name: str, text: str) -> str:
    """A sentence that recommends an argument, after a space; "" if the command has no such option.

    Args:
        name: of the argument.
        text: with `{}` in the place of the argument.
    """
    if _options is None:
        return " " + text.format(f"`{name}=`")
    return " " + text.format(_options[name]) if name in _options else ""


def told(text: str) -> str:
    """A message of the package for this process: while a command runs, with options instead of arguments.

    Messages name arguments only in these forms: `` `name` ``, `` `name=...` ``, `name=[...]`, `name='value'`, and
    `Received: name=value`; a shell gets --name, and the value.
    """
    if _options is None:
        return text
    head, received, tail = text.rpartition("Received: ")
    text = _SETTING.sub(_as_setting, _NAMED.sub(_as_option, head)) + received
    tail = _VALUE.sub("", tail) if received else _SETTING.sub(_as_setting, tail)
    return text + _NAMED.sub(_as_option, tail)


def _as_option(hit):
    name, value = hit[1] or hit[3], hit[2] or hit[3]
    if _options and name in _options:
        return _options[name]
    return name.replace("_", " ") if value else hit[0]


def _as_setting(hit):
    return f"{_options[hit[1]]} {hit[2]}" if _options and hit[1] in _options else hit[0]


def python_or_shell(python: str, shell: str) -> str:
    """The text for Python, or the one for the shell while a command runs."""
    return python if _options is None else shell
