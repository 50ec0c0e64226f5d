"""The command `keras-ssd`: a module per command, each with `add_parser(commands)`.

`add_parser` sets `run`, a function that takes the parsed arguments and returns the exit code: 0 all done, 1 some inputs
failed (each was named). Where nothing can be done it raises an error whose text is for the user; `main` prints that on
standard error and returns 2.
"""

from keras_ssd.cli.main import main as main
