"""The parser of the command line: it shows help for a bare command, and suggests words for misspelt ones."""

import argparse
import itertools
import re
import sys
from typing import Any, NoReturn, TypeAlias

from keras_ssd.names import nearest

_NUMBER = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors show the usage of the command in question and the nearest known word.

    A parser with commands below it shows its help when none is given, and ends with exit code 0, as `pip` does.
    """

    def add_commands(self, dest: str, metavar: str) -> "Commands":
        """`add_subparsers`; where no command is given, the help is shown."""
        self.set_defaults(run=self._answer, needs_backend=False)
        return self.add_subparsers(dest=dest, metavar=metavar)

    def _answer(self, args):
        self.print_help()
        return 0

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]: overloads
        # First, because argparse reports a missing `--weights` before it looks at the misspelt `--wieghts`.
        self._refuse_unknown_options(args or ())
        namespace, rest = super().parse_known_args(args, namespace)
        if rest:
            words = "arguments" if len(rest) > 1 else "argument"
            self.error(f"unexpected {words}: {' '.join(map(str, rest))}")
        return namespace, rest

    def _refuse_unknown_options(self, args):
        words = itertools.takewhile(lambda word: word != "--", map(str, args))
        if self._subparsers is not None:  # what follows the command is the command's
            words = itertools.takewhile(lambda word: word.startswith("-"), words)
        known = self._option_string_actions
        for word in words:
            if len(word) < 2 or word[0] != "-" or _NUMBER.match(word) or " " in word:
                continue
            name = word.split("=")[0]
            if word.startswith("--"):
                if not any(option.startswith(name) for option in known):
                    self.error(self._unknown("option", name, [option for option in known if option.startswith("--")]))
            elif word[:2] not in known and name not in known:
                self.error(self._unknown("option", name, known))

    def _check_value(self, action, value):
        if action.choices is None or value in action.choices:
            return
        if isinstance(action, argparse._SubParsersAction):
            self.error(self._unknown(str(action.metavar).lower(), value, action.choices))
        raise argparse.ArgumentError(action, self._unknown("value", value, action.choices, listed=True))

    @staticmethod
    def _unknown(kind, word, known, listed=False):
        known = [str(one) for one in known]
        close = nearest(word, known, 1)
        text = f"unknown {kind} {word!r}."
        text += f" Did you mean {close[0]}?" if close else ""
        if listed or (not close and not known[0].startswith("-")):
            text += f" Expected one of {', '.join(known)}."
        return text

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}\n`{self.prog} --help` explains.\n")

    def leaves(self) -> list["Parser"]:
        """Every parser below this one that has no commands of its own, and this one if it has none."""
        below = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        if not below:
            return [self]
        return [leaf for action in below for parser in action.choices.values() for leaf in parser.leaves()]


Commands: TypeAlias = "argparse._SubParsersAction[Any]"  # what `Parser.add_commands` gives


def notes(description: str | None, epilog: str | None) -> dict[str, Any]:
    """Arguments of `add_parser` for texts whose lines stay as they are."""
    return {
        "description": description,
        "epilog": epilog,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
