"""The command `keras-ssd`: one module a command, each with `add_parser(commands)` and `run(args) -> exit code`.

Exit codes: 0 all done, 1 some inputs failed (each was named), 2 nothing could be done (one error on stderr).
"""

from keras_ssd.cli.main import main as main
