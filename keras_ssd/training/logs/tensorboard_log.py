"""TensorBoard: scalars per epoch, the settings as text, and both images, in the folder of the training.

The package `tensorboard` alone writes them. Keras's callback, `tf.summary` and PyTorch's writer each need a backend.
"""

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.training.logs.log import Log

FOLDER = "tensorboard"


class TensorBoardLog(Log):
    """Writes event files for `tensorboard --logdir`."""

    name = "tensorboard"
    title = "TensorBoard"
    package = "tensorboard"
    _writer: Any = None

    def _open(self, facts: Mapping[str, Any], before: str | None) -> str | None:
        self._import()
        files = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self._writer = files.EventFileWriter(str(self.out / FOLDER))
        rows = [f"| {name} | {value} |" for name, value in facts.items()]
        self._add(0, _text("settings", "\n".join(["| setting | value |", "|---|---|", *rows])))

    def _write(self, numbers: Mapping[str, float], epoch: int) -> None:
        values = [{"tag": name, "simple_value": value} for name, value in numbers.items()]
        self._add(epoch, *values)
        self._writer.flush()

    def _keep(self, files: list[Path], epoch: int) -> None:
        self._add(epoch, *(_image(path) for path in files if path.suffix == ".png"))

    def _close(self, status: str) -> None:
        if self._writer is not None:
            self._writer.close()

    def _add(self, step, *values):
        event, summary = _protos("event_pb2"), _protos("summary_pb2")
        made = summary.Summary(value=[summary.Summary.Value(**value) for value in values])
        self._writer.add_event(event.Event(step=step, summary=made, wall_time=time.time()))


def _protos(name):
    return importlib.import_module(f"tensorboard.compat.proto.{name}")


def _text(tag, text):
    """Markdown for the tab of texts."""
    tensor = _protos("tensor_pb2").TensorProto(dtype="DT_STRING", string_val=[text.encode()])
    data = _protos("summary_pb2").SummaryMetadata.PluginData(plugin_name="text")
    return {"tag": tag, "tensor": tensor, "metadata": _protos("summary_pb2").SummaryMetadata(plugin_data=data)}


def _image(path):
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    made = _protos("summary_pb2").Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
    )
    return {"tag": path.stem, "image": made}
