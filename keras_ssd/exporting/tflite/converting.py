"""The network's file, whatever backend Keras runs on: where it is not TensorFlow, another process converts.

Started as `python -m keras_ssd.exporting.tflite.converting model.keras plan.json out.tflite`, it is that process.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporting.tflite.plan import Plan

INSTALL = "pip install 'keras-ssd[tflite]'"


def network_file(model: Any, plan: Plan) -> bytes:
    """The TensorFlow Lite file of a detector's network, see `keras_ssd.exporting.tflite.network.convert`.

    Raises:
        ImportError: TensorFlow is not installed.
        ExportError: the model cannot be written.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(f"Writing TensorFlow Lite needs TensorFlow, whose converter does the work: {INSTALL}")
    if keras.config.backend() == "tensorflow":
        from keras_ssd.exporting.tflite.network import convert

        return convert(model, plan)
    return _elsewhere(model, plan)


def _elsewhere(model, plan):
    with tempfile.TemporaryDirectory() as folder:
        saved, told, out = (Path(folder, name) for name in ("model.keras", "plan.json", "out.tflite"))
        model.save(saved)
        told.write_text(plan.to_json(), encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": path}
        command = [sys.executable, "-m", __name__, str(saved), str(told), str(out)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if out.is_file():
            return out.read_bytes()
        said = [line for line in ended.stderr.splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"the process ended with {ended.returncode}"
        raise ExportError(reason.removeprefix(f"{ExportError.__name__}: "))


def _main(saved: str, told: str, out: str) -> int:
    """Converts a saved model; a refusal is the last line of standard error."""
    from keras_ssd.exporting.tflite.network import convert
    from keras_ssd.models.saved import load

    try:
        data = convert(load(saved), Plan.from_json(Path(told).read_text(encoding="utf-8")))
    except ExportError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    except ValueError as error:
        print(
            "The model does not open in a process that runs on TensorFlow, which writes TensorFlow Lite. If it holds "
            f"layers of your own, export it with KERAS_BACKEND=tensorflow. {' '.join(str(error).split())}",
            file=sys.stderr,
        )
        return 1
    Path(out).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
