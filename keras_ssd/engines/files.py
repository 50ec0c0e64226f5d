"""Detectors in files of other runtimes, opened by what the files say of themselves."""

import hashlib
import os
import zipfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import detect_method, file_arrays
from keras_ssd.decoding import Confidence, DecodeOptions
from keras_ssd.detections import Detections
from keras_ssd.engines.choosing import file_choice
from keras_ssd.engines.engine import AUTO, FLOAT32, EngineError
from keras_ssd.engines.runtimes import ENGINES
from keras_ssd.file_metadata import KEY, FileMetadata
from keras_ssd.names import files_nearby

ENDINGS: tuple[str, ...] = tuple(dict.fromkeys(ending for engine in ENGINES.values() for ending in engine.endings))
ANEW = "Export the model anew with keras_ssd.export, whose files describe themselves."


def is_engine_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a detector for one of the engines; a .tflite file without a description holds weights alone."""
    path = Path(os.fspath(path))
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return False
    return path.suffix.lower() != ".tflite" or f"{KEY}.json" in _packed(path)


def _packed(path):
    """The names of the files that are packed behind a model."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return set()


class FileDetector:
    """A detector in a file that `keras_ssd.export` wrote, which its runtime computes; no Keras model.

    It detects and is measured as a model is, but cannot be trained or changed.

    Args:
        path: of an .onnx, .xml or .tflite file.
        engine: "auto", or the engine that runs it.

    Attributes:
        metadata: `keras_ssd.file_metadata.FileMetadata`, what the file says of itself.
        runtime: name and version of what runs it.

    Raises:
        FileNotFoundError: no such file.
        EngineError: a file that is damaged, that another program wrote, or that nothing here can run.
        MissingRuntimeError: no runtime for it is installed; the text names the extra.
    """

    def __init__(self, path: str | os.PathLike[str], engine: str = AUTO) -> None:
        self.path = Path(os.fspath(path))
        if not self.path.is_file():
            raise FileNotFoundError(f"No model file at '{self.path}'.{files_nearby(self.path)}")
        self._opened = {}  # (engine, precision): Program
        self._engine = engine
        program = self._program(*file_choice(self.path, engine))
        self.runtime: str = program.runtime
        self.metadata: FileMetadata = _described(self.path, program)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.metadata.name or self.path.stem

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes without background."""
        return self.metadata.class_names or ()

    @property
    def num_classes(self) -> int:
        """Classes without background."""
        return len(self.class_names)

    @property
    def names_classes(self) -> bool:
        """Whether the file names its classes."""
        return bool(self.class_names)

    @property
    def decoding(self) -> dict[str, Any]:
        """Options of `DecodeDetections` that the file has, or wants where it leaves suppression to the caller."""
        return dict(self.metadata.decoding)

    @property
    def confidence(self) -> Confidence | None:
        """The `Confidence` that `detect` uses by default; None where the file tells none."""
        value = self.metadata.confidence
        return None if value is None else Confidence(value, f"told by {self.path.name}")

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the input in pixels."""
        height, width = self.metadata.input_size
        return height, width

    @property
    def digest(self) -> str:
        """A digest of the file's bytes."""
        return hashlib.blake2b(self.path.read_bytes(), digest_size=8).hexdigest()

    detect = detect_method.detect

    def track(self, source: Any, **options: Any) -> Generator[Detections, None, None]:
        """Finds objects in a video and follows them from frame to frame; see `keras_ssd.video.track`.

        Example:
            >>> for found in keras_ssd.load("mine.onnx").track("street.mp4"):
            ...     print(found.frame, found.track_ids, found.names)
        """
        from keras_ssd.video import track

        return track(self, source, **options)

    def engine_predictor(
        self, options: Any, insist: bool, engine: str = AUTO, precision: str = FLOAT32
    ) -> "FilePredictor":
        """What computes rows from images, as `detect` wants it.

        Args:
            options: dictionary of `DecodeDetections` arguments, or such a layer.
            insist: whether the caller asked for them.
            engine, precision: see `keras_ssd.detect`.

        Raises:
            EngineError: options for a file that holds its suppression, or an engine that does not run it.
        """
        if insist and self.metadata.has_suppression:
            raise EngineError(
                f"'{self.path}' holds its suppression, whose options were set when it was exported. Export the model "
                "without suppression to choose iou_threshold, keep_top_k or decoder."
            )
        engine = self._engine if engine == AUTO else engine
        program = self._program(*file_choice(self.path, engine, precision))
        return FilePredictor(self.metadata, program, options, self.path)

    def _program(self, engine, precision):
        key = engine.name, precision
        if key not in self._opened:
            try:
                self._opened[key] = engine.opened(self.path, precision)
            except Exception as error:  # each runtime has errors of its own
                raise EngineError(
                    f"'{self.path}' cannot be opened by {engine.name}: {_said(error)} The file is damaged, a part of "
                    f"it is missing, or it is no model for {engine.name}. {ANEW}"
                ) from error
        return self._opened[key]


def _said(error):
    """What an error says, as one sentence."""
    return " ".join(str(error).split())[:300].rstrip(".") + "."


def _described(path, program):
    """The file's description of itself."""
    try:
        told = FileMetadata.from_properties(program.properties)
    except ValueError as error:
        raise EngineError(f"'{path}': {error} {ANEW}") from error
    if told is None:
        inputs = ", ".join(f"{one.name} {list(one.shape)}" for one in program.inputs)
        raise EngineError(
            f"'{path}' does not say what its inputs and outputs mean, as files of keras_ssd.export do; another program "
            f"wrote it (inputs: {inputs}). {ANEW}"
        )
    height, width = told.input_size
    wanted = (height, width, 3) if told.layout == "NHWC" else (3, height, width)
    if len(program.inputs) != 1 or not _agree(program.inputs[0].shape[1:], wanted):
        raise EngineError(
            f"'{path}' says that it takes one image {wanted}, and it takes "
            f"{[list(one.shape) for one in program.inputs]}. The file is damaged or was changed. {ANEW}"
        )
    return told


def _agree(shape, wanted):
    """Whether lengths are equal where they are fixed; a net of grey images takes one channel."""
    return len(shape) == 3 and all(
        length in (None, expected) or (expected == 3 and length == 1)
        for length, expected in zip(shape, wanted, strict=True)
    )


class FilePredictor:
    """Images -> rows by the program of a file.

    Args:
        metadata: `FileMetadata`.
        program: `Program`.
        options: dictionary of `DecodeDetections` arguments, or such a layer, for a file without suppression.
        path: of the file.

    Attributes:
        size_hw: the input's height and width.
        num_classes: without background.
    """

    def __init__(self, metadata: FileMetadata, program: Any, options: Any = None, path: Path | None = None) -> None:
        self._program, self._path, self.num_classes = program, path, len(metadata.class_names)
        self.size_hw = metadata.input_size
        if not metadata.has_suppression:
            given = getattr(options, "options", None) or DecodeOptions(**(options or {}))
            metadata = _with_options(metadata, given)
        self._metadata = metadata

    def begin(self) -> None:
        """To be called when a run begins; a file does not change."""

    def rows(self, images: Sequence[np.ndarray], batch: int) -> np.ndarray:
        """Decoded rows (len(images), K, 6) of some images of the input size; `batch` is of no meaning here."""
        at_once = self._metadata.batch or len(images)
        parts = []
        for start in range(0, len(images), at_once):
            some = list(images[start : start + at_once])
            filled = np.stack(some + some[:1] * (at_once - len(some)))
            parts.append(self._rows(filled)[: len(some)])
        return np.concatenate(parts)

    def _rows(self, images):
        given = file_arrays.fed(self._metadata, images)
        try:
            found = self._program(given)
        except MemoryError:
            raise
        except Exception as error:  # each runtime has errors of its own
            raise EngineError(
                f"'{self._path}' cannot be computed by {self._program.runtime}: {_said(error)} The file is damaged. "
                f"{ANEW}"
            ) from error
        names = [tensor.name for tensor in self._program.outputs]
        return file_arrays.rows_of(self._metadata, dict(zip(names, found, strict=True)))


def _with_options(metadata, options):
    kept = metadata.decoding.get("scores")  # the file has applied it
    decoding = vars(options) | ({"scores": kept} if kept else {})
    return replace(metadata, decoding=decoding)
