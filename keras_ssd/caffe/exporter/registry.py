"""Which function writes which kind of Keras layer."""

WRITERS = {}


def writes(*classes):
    """Registers a function as the writer of these layer classes.

    A writer is `function(step, layer, *inputs)`: `step` is a `writing.Step`, `layer` the Keras layer, `inputs` are
    `Blob`s; it returns a `Blob`.
    """

    def register(function):
        for cls in classes:
            if cls in WRITERS:
                raise ValueError(f"{cls.__name__} has two writers.")
            WRITERS[cls] = function
        return function

    return register
