"""Files of TensorFlow Lite in LiteRT."""

import importlib.util
from typing import Any

import numpy as np

from keras_ssd._quiet import quiet_backend
from keras_ssd.exporting.tflite.converting import INSTALL


class Interpreter:
    """A file, ready to run.

    Args:
        data: the file.
        threads: how many; None is LiteRT's own choice.

    Raises:
        ImportError: the package ai-edge-litert is not installed.
    """

    def __init__(self, data: bytes, threads: int | None = None):
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise ImportError(f"Running TensorFlow Lite files needs the package `ai-edge-litert`: {INSTALL}")
        with quiet_backend():
            from ai_edge_litert import interpreter

            made = interpreter.Interpreter(model_content=bytes(data), num_threads=threads)
            made.allocate_tensors()
        [self._input] = made.get_input_details()
        [signature] = made.get_signature_list().values()
        [self._argument] = signature["inputs"]
        self._runner: Any = made.get_signature_runner()

    @property
    def batch(self) -> int:
        """Images at once."""
        return int(self._input["shape"][0])

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """{name: values} of the outputs.

        Args:
            images: (B, H, W, 3) in the file's order of channels, 0..255.
        """
        kind = self._input["dtype"]
        x = np.asarray(images)
        x = np.round(x).astype(kind) if np.issubdtype(kind, np.integer) else x.astype(kind)
        return self._runner(**{self._argument: x})
