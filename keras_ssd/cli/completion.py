"""`keras-ssd completion`: a script with which a shell completes commands, options and names at the Tab key.

The script is made once, by shtab, and the shell reads it: nothing of Python starts when Tab is pressed.
"""

import argparse

from keras_ssd.cli.parsing import Commands, notes

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
DESCRIPTION = """\
Print a script with which your shell completes commands, options, names of
weights and of models, and files, when you press Tab."""

EPILOG = """\
examples, once a machine; a new shell then knows it:
  bash   keras-ssd completion bash > \\
           ~/.local/share/bash-completion/completions/keras-ssd
  zsh    keras-ssd completion zsh > ~/.zfunc/_keras-ssd
           with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  fish   keras-ssd completion fish > ~/.config/fish/completions/keras-ssd.fish

In the running bash alone: eval "$(keras-ssd completion bash)"
"""


def add_parser(commands: Commands) -> None:
    """Adds the command `completion` to the parser's commands."""
    parser = commands.add_parser("completion", help="complete commands at the Tab key", **notes(DESCRIPTION, EPILOG))
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")
    parser.set_defaults(run=run, needs_backend=False)


def run(args: argparse.Namespace) -> int:
    """Prints the script for the parser of the whole command line, which `main` hands over as `args.parser`."""
    try:
        import shtab
    except ImportError as error:
        raise ImportError("Completion needs the package `shtab`: pip install 'keras-ssd[completion]'") from error
    for leaf in args.parser.leaves():
        _describe(leaf, shtab.FILE)
    print(shtab.complete(args.parser, args.shell))
    return 0


def _describe(parser, files):
    """Says what follows the words of one command: names of the catalogue, or files."""
    from keras_ssd import zoo
    from keras_ssd.names import DETECTORS

    known = {
        "weights": [entry.name for entry in zoo.entries(readable=True)],
        "name": [entry.name for entry in zoo.entries()],
        "names": [entry.name for entry in zoo.entries(readable=True)],
        "model": DETECTORS,
        "labels": zoo.label_sets(),
    }
    for action in parser._actions:
        if action.nargs == 0 or action.choices is not None:
            continue
        if action.dest in known:
            action.choices = [*known[action.dest]]
        elif action.type is None:
            action.complete = files
