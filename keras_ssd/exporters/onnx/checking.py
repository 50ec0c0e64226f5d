"""An ONNX file against the model that it was written from."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd.exporters.comparing import Tolerance, compare
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.inputs import IMAGES, PREPROCESSING, fed, input_kind
from keras_ssd.exporters.onnx.outputs import BOXES, SCORES
from keras_ssd.exporters.onnx.suppression import DETECTIONS
from keras_ssd.images import read_image, resize_bilinear

RANDOM = "random noise"


@dataclass(frozen=True)
class Difference:
    """The largest difference between two programs on one image.

    Args:
        image: its name.
        boxes: in fractions of the image; of coordinates beyond 1, as a share of them. Infinite where one program has a
            detection that the other has not.
        scores: 0..1.
    """

    image: str
    boxes: float
    scores: float

    def __str__(self) -> str:
        return f"{self.image}: boxes {self.boxes:.1e}, scores {self.scores:.1e}"


@dataclass(frozen=True)
class OnnxCheck:
    """How an ONNX file compares with its model, image by image; `print` it.

    Args:
        path: of the file.
        input: what it takes, see `to_onnx`.
        runtime: what ran it, with its version; None if nothing did.
        differences: a `Difference` for random noise and for each image.
        gives_detections: whether the file holds suppression.
    """

    path: Path
    input: str
    runtime: str | None
    differences: tuple[Difference, ...]
    gives_detections: bool = False

    @property
    def outputs(self) -> str:
        """Names of what the file gives, in words."""
        return DETECTIONS if self.gives_detections else f"{BOXES} and {SCORES}"

    @property
    def boxes(self) -> float | None:
        """The largest difference of boxes."""
        return max((row.boxes for row in self.differences), default=None)

    @property
    def scores(self) -> float | None:
        """The largest difference of scores."""
        return max((row.scores for row in self.differences), default=None)

    def __str__(self) -> str:
        head = f"{self.path}: takes {self.input}, gives {self.outputs}."
        if self.runtime is None:
            return f"{head} Not compared with the model, since onnxruntime is not installed."
        return "\n".join([f"{head} Largest differences in {self.runtime}:", *(f"  {row}" for row in self.differences)])


def check_onnx(path: str | os.PathLike[str], model: Any, images: Iterable[Any] = ()) -> OnnxCheck:
    """Runs an ONNX file with onnxruntime and compares it with the model that it was written from.

    Args:
        path: of a file that `to_onnx` wrote.
        model: the model.
        images: paths, PIL images or arrays (H, W, 3) RGB, of any size, besides one of random noise.

    Returns:
        An `OnnxCheck`.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: the file was not written by `to_onnx`.

    Example:
        >>> print(check_onnx("plates.onnx", model, ["car.jpg"]))
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("Checking ONNX needs the package `onnxruntime`: pip install 'keras-ssd[onnx]'") from error
    detector = Detector.of(model)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    if "input" not in said:
        raise ValueError(f"{path} was not written by keras_ssd.to_onnx: it does not tell which input it takes.")
    kind = input_kind(said["input"])
    rows = []
    for name, image in _named(images, detector.model.inputs[0].shape[1:3]):
        x = fed(kind, lambda batch: detector.output_of(PREPROCESSING, batch), image)
        if detector.has_decoder:
            rows.append(_of_rows(name, session.run([DETECTIONS], {IMAGES: x})[0], detector, image))
            continue
        found = session.run([BOXES, SCORES], {IMAGES: x})
        expected = detector.results(image[None])
        rows.append(Difference(name, *(_largest(a, b[0]) for a, b in zip(found, expected, strict=True))))
    runtime = f"onnxruntime {onnxruntime.__version__}"
    return OnnxCheck(Path(path), said["input"], runtime, tuple(rows), detector.has_decoder)


def _of_rows(name, found, detector, image):
    tolerance = Tolerance(1e-3, 1e-2)
    floor = detector.options.floor
    parity = compare(
        detector.rows(image[None]), found, "", tolerance, floor, candidates=lambda place: detector.candidates(image)
    )
    if parity.matched < max(parity.expected, parity.found):
        return Difference(name, float("inf"), float("inf"))
    return Difference(name, parity.boxes, parity.scores)


def _named(images, size_hw):
    """(name, (H, W, 3) float32) of random noise and of each image, in the model's size."""
    noise = np.random.default_rng(0).integers(0, 256, (*size_hw, 3))
    yield RANDOM, noise.astype(np.float32)
    for number, source in enumerate(images, start=1):
        name = str(source) if isinstance(source, (str, Path)) else f"image {number}"
        yield name, resize_bilinear(read_image(source), size_hw).astype(np.float32)


def _largest(found, expected):
    """The largest |a - b|, of numbers beyond 1 as a share of them; infinite where only one is, or one is no number."""
    if found.shape != expected.shape:
        raise ValueError(f"The file gives arrays {found.shape} where the model gives {expected.shape}.")
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype("float64") - expected) / np.maximum(np.abs(expected), 1.0)
    difference[found == expected] = 0.0  # untrained weights may give boxes of infinite size
    largest = float(difference.max(initial=0.0))
    return largest if np.isfinite(largest) else float("inf")
