"""What an exported file says of itself: one description, whatever the format."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from keras_ssd._version import __version__
from keras_ssd.decoding import DecodeOptions

KEY = "keras_ssd"  # the entry of a file's metadata that holds the whole description as JSON

# What the outputs are.
ROWS = "rows"  # one tensor (B, K, 6): [class id, score, xmin, ymin, xmax, ymax], unused rows with class -1
TABLES = "tables"  # two tensors, before suppression: decoded boxes (B, N, 4) and scores (B, N, C), no background
SINGLE_TABLES = "single_tables"  # the same of one image, (N, 4) and (N, C)
PREDICTIONS = "predictions"  # one tensor (B, N, C + 1 + 12), see `keras_ssd.box_coder.Predictions`
TFLITE_DETECTION = "tflite_detection"  # the four outputs of TFLite_Detection_PostProcess
EFFICIENT_NMS = "efficient_nms"  # the four outputs of TensorRT's EfficientNMS_TRT
OUTPUTS = (ROWS, TABLES, SINGLE_TABLES, PREDICTIONS, TFLITE_DETECTION, EFFICIENT_NMS)


@dataclass(frozen=True)
class FileMetadata:
    """The description of a detector that lies in a file for another program.

    Args:
        class_names: names of the classes without background; class id i is entry i.
        input_size: (height, width) in pixels.
        channels: "rgb" or "bgr".
        layout: order of the input's axes, "NCHW" or "NHWC".
        dtype: of the input, such as "float32".
        value_range: of the image's values before `mean` and `scale`.
        mean, scale: what the caller applies per channel, in the order of `channels`: (image - mean) * scale. None: the
            file takes plain values of `value_range` and does this by itself.
        output: one of `OUTPUTS`: what the outputs are.
        decoding: all fields of `keras_ssd.DecodeOptions` as a dictionary: those of the suppression in the file, or
            those that the caller should use where it holds none.
        confidence: lowest score worth showing, see `model.confidence`; None where the model has none of its own.
        batch: images at once; None for any number.
        threads: on so many, and on fewer, the file's runtime computes it rightly; None where the file does not tell.
        precision: "float32", "float16" or "int8".
        name: of the model.
        licence: of the weights, in words; "" where nothing tells.
        keras_ssd_version: of the package that wrote the file.
    """

    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    channels: str = "rgb"
    layout: str = "NCHW"
    dtype: str = "float32"
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    output: str = ROWS
    decoding: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    confidence: float | None = None
    batch: int | None = None
    threads: int | None = None
    precision: str = "float32"
    name: str = ""
    licence: str = ""
    keras_ssd_version: str = __version__

    @property
    def has_suppression(self) -> bool:
        """Whether the file gives detections, rather than the boxes and scores of all anchors."""
        return self.output not in (TABLES, SINGLE_TABLES, PREDICTIONS)

    @property
    def options(self) -> DecodeOptions:
        """`decoding` as `DecodeOptions`."""
        return DecodeOptions(**self.decoding)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def to_json(self) -> str:
        """The description as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_properties(self) -> dict[str, str]:
        """{key: text} for formats whose metadata are texts: the whole under `KEY`, and each fact under its own name."""
        told = {key: value for key, value in self.to_dict().items() if value not in (None, "")}
        facts = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in told.items()
        }
        return {KEY: self.to_json(), **facts}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote; entries of a later version are left out.

        Raises:
            ValueError: not such a description.
        """
        try:
            told = json.loads(text)
        except ValueError as error:
            raise ValueError(f"The description of keras_ssd in the file is not JSON: {error}") from error
        if not isinstance(told, dict):
            raise ValueError(f"The description of keras_ssd in the file must be a JSON object. Received: {told!r:.200}")
        known = {field.name for field in dataclasses.fields(cls)}
        values = {
            key: tuple(value) if isinstance(value, list) else value for key, value in told.items() if key in known
        }
        return cls(**_checked(values))

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> Self | None:
        """Reads what `to_properties` gave; None if the file is another program's."""
        return cls.from_json(properties[KEY]) if KEY in properties else None


_NUMBER = (int, float)
_LISTS = {"class_names": str, "input_size": int, "value_range": _NUMBER, "mean": _NUMBER, "scale": _NUMBER}
_PAIRS = ("input_size", "value_range")
_TEXTS = ("channels", "layout", "dtype", "output", "precision", "name", "licence", "keras_ssd_version")
_CHOICES = {"channels": ("rgb", "bgr"), "layout": ("NCHW", "NHWC"), "output": OUTPUTS}


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values, where they are of the kinds that `FileMetadata` says: a file may come from anywhere."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for key in ("class_names", "input_size"):
        if values.get(key) is None:
            raise ValueError(f"The description of keras_ssd in the file lacks `{key}`.")
    wrong = [key for key in values if not _fits(key, values[key])]
    decoding = values.get("decoding") or {}
    if not isinstance(decoding, dict):
        wrong.append("decoding")
    if wrong:
        raise ValueError(
            f"The description of keras_ssd in the file has a wrong `{wrong[0]}`. Received: {values[wrong[0]]!r:.200}"
        )
    known = {field.name for field in dataclasses.fields(DecodeOptions)}
    values["decoding"] = {key: value for key, value in decoding.items() if key in known}
    DecodeOptions(**values["decoding"])
    return values


def _fits(key, value):
    if key in _LISTS:
        if value is None:
            return key in ("mean", "scale")
        right = isinstance(value, tuple) and all(isinstance(x, _LISTS[key]) and not isinstance(x, bool) for x in value)
        return right and (key not in _PAIRS or len(value) == 2) and (key != "input_size" or min(value) >= 1)
    if key in _TEXTS:
        return isinstance(value, str) and value in _CHOICES.get(key, (value,))
    if key in ("batch", "threads"):
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)
    if key == "confidence":
        return value is None or (isinstance(value, _NUMBER) and not isinstance(value, bool) and 0 <= value <= 1)
    return True
