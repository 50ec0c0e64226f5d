"""Starting Keras and its backend for a command."""


def start_backend() -> None:
    """Imports Keras and its backend, without the chatter of TensorFlow's start."""
    from keras_ssd._environment import load_keras, without_collecting

    load_keras()
    with without_collecting():
        import keras_ssd.models
        import keras_ssd.training  # noqa: F401


def quiet_first_operation() -> None:
    """Runs a first small operation without chatter: TensorFlow lists its devices there."""
    from keras_ssd._quiet import quiet_backend

    with quiet_backend():
        import keras

        keras.ops.zeros(1, "float32")
