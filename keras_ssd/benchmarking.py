"""How fast a detector is in each engine and precision, side by side on one machine."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.detecting import detect
from keras_ssd.engines import AUTO, ENGINES, FLOAT32, PRECISIONS, MissingRuntimeError
from keras_ssd.engines.choosing import NEVER_CHOSEN, Choice, choose, file_choice
from keras_ssd.engines.compiling import keep_networks, kept_for
from keras_ssd.engines.files import FileDetector
from keras_ssd.evaluation import evaluate
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporting.formats import format_of
from keras_ssd.exporting.int8 import INT8
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.images import read_image, resize_bilinear

LOW = 0.01  # scores above this are compared


@dataclass(frozen=True)
class Timing:
    """One engine in one precision.

    Args:
        engine, precision: their names; the precision of a file is that of the file.
        reason: why there are no figures, in words; "" where there are.
        rate: images per second of `detect`, from images in memory.
        p50, p95: milliseconds of a batch.
        bare: milliseconds of a batch in the network alone; None where it was not measured.
        start: seconds until the first result.
        size: bytes of what the engine was given; None for a model of Keras that has no file.
        difference: largest difference of scores from the first row of the table.
        ap: average precision (VOC 2012) on annotated images; None without them.
        notes: sentences about the file, such as layers that were left in float.
    """

    engine: str
    precision: str
    reason: str = ""
    rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    bare: float | None = None
    start: float | None = None
    size: int | None = None
    difference: float | None = None
    ap: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """What `benchmark` measured.

    Args:
        timings: a `Timing` for each engine and precision, those without figures at the end.
        auto: what `engine="auto"` takes in float32, and why, in words.
        batch_size: images at once.
    """

    timings: tuple[Timing, ...]
    auto: str
    batch_size: int


@checked_arguments
def benchmark(
    model: Any,
    images: Sequence[Any],
    *,
    engines: Sequence[str] | None = None,
    batch_size: int = 1,
    rounds: int = 15,
    dataset: Dataset | None = None,
    calibrate: Any = None,
) -> Benchmark:
    """Measures `detect` in every engine and precision that serves.

    The engines take turns, a batch each, so that other work on the machine meets all of them.

    Args:
        model: a model, or a `FileDetector`.
        images: paths or arrays, at least one; they are read before anything is measured.
        engines: names; None for all but those whose conversion takes long.
        batch_size: images at once.
        rounds: batches that each engine computes.
        dataset: annotated images for the average precision.
        calibrate: images, as of `keras_ssd.export`: the model is also measured in int8, calibrated on them.

    Raises:
        ValueError: no image, an unknown engine, or `calibrate` for a file.
    """
    if not len(images) or batch_size < 1 or rounds < 1:
        raise ValueError("A benchmark needs at least one image, and `batch_size` and `rounds` from 1 on.")
    if calibrate is not None and not isinstance(model, keras.Model):
        raise ValueError(
            f"A file has the precision that it was exported in, so `calibrate` is for models. Received: {model.path}"
        )
    read = [read_image(image) for image in images[: max(batch_size, 8)]]
    batches = [[read[(start + place) % len(read)] for place in range(batch_size)] for start in range(len(read))]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        subjects, pairs = _Subjects(model, calibrate, Path(folder)), _pairs(model, engines, calibrate)
        keep_networks(model, len(pairs))  # else each turn would make one anew
        rows = [_started(subjects, *pair, batches[0]) for pair in pairs]
        timed = [row for row in rows if not row.reason]
        spent, bare = _turns(subjects, timed, batches, rounds)
        first = _scores(subjects, timed[0], read) if timed else []
        whole = [_filled(subjects, row, spent[row], bare[row], batch_size, first, read, dataset) for row in timed]
    keep_networks(model)
    return Benchmark((*whole, *(row for row in rows if row.reason)), _auto(model), batch_size)


@dataclass(frozen=True)
class Compared:
    """Two or more detectors in one engine and precision.

    Args:
        engine, precision: their names.
        milliseconds: of `detect` for one image, the median, one for each detector; none where the engine is missing.
        reason: why there are no figures, in words; "" where there are.
    """

    engine: str
    precision: str
    milliseconds: tuple[float, ...] = ()
    reason: str = ""


def side_by_side(
    models: Sequence[Any], images: Sequence[Any], *, engines: Sequence[str] | None = None, rounds: int = 15
) -> tuple[Compared, ...]:
    """Measures `detect` of several detectors in every engine that serves; they take turns, one image each.

    Args:
        models: models, at least one.
        images: paths or arrays, at least one; they are read before anything is measured.
        engines: names; None for all but those whose conversion takes long.
        rounds: images that each detector gets in each engine.

    Raises:
        ValueError: no model, no image, or an unknown engine.
    """
    if not len(models) or not len(images):
        raise ValueError("A comparison needs at least one model and one image.")
    read = [read_image(image) for image in images[:8]]
    rows = []
    subjects = [_Subjects(model) for model in models]
    for pair in _pairs(models[0], engines):
        started = [_started(subject, *pair, read[:1]) for subject in subjects]
        reason = next((row.reason for row in started if row.reason), "")
        spent = [[] for _ in models]
        for place in range(0 if reason else rounds):
            for subject, row, times in zip(subjects, started, spent, strict=True):
                batch = [read[place % len(read)]]
                times.append(_seconds(lambda subject=subject, row=row, batch=batch: _found(subject, row, batch)))
        rows.append(Compared(*pair, tuple(1e3 * statistics.median(times) for times in spent if times), reason))
    return tuple(rows)


class _Subjects:
    """What detects in each row: the model itself, or a file of it in int8."""

    def __init__(self, model: Any, calibrate: Any = None, folder: Path = Path()) -> None:
        self.model, self._calibrate, self._folder = model, calibrate, folder
        self._files: dict[str, Any] = {}

    def write(self, engine: str) -> tuple[str, ...]:
        """Writes the model in int8 for an engine; returns what is told of it."""
        ENGINES[engine].insist(files_only=True)
        path = self._folder / f"{engine}{ENGINES[engine].endings[0]}"
        options = ExportOptions(suppression=False, precision=INT8, calibrate=self._calibrate)
        notes = format_of(path, None).load().write(self.model, path, options).notes
        self._files[engine] = FileDetector(path, engine)
        return notes

    def of(self, row: Timing) -> Any:
        """The detector of a row."""
        return self._files[row.engine] if row.precision == INT8 else self.model

    def computing(self, row: Timing) -> dict[str, str]:
        """The arguments of `detect` for a row."""
        return {"engine": row.engine, "precision": FLOAT32 if row.precision == INT8 else row.precision}


def _pairs(model, engines, calibrate=None):
    """(engine, precision) of each row; Keras first, since the others are compared with it."""
    for name in engines or ():
        if name not in ENGINES:
            choose(model, name)  # raises
    of_file = not isinstance(model, keras.Model)
    names = [name for name in reversed(ENGINES) if name not in NEVER_CHOSEN or of_file]
    chosen = [name for name in reversed(ENGINES) if name in engines] if engines else names
    able = [name for name in chosen if not of_file or model.path.suffix.lower() in ENGINES[name].endings]
    pairs = [
        (name, precision) for precision in PRECISIONS for name in able if precision == FLOAT32 or name == "openvino"
    ]
    return pairs if calibrate is None else pairs + [(name, INT8) for name in able if ENGINES[name].endings]


def _started(subjects, engine, precision, batch):
    row = Timing(engine, precision)
    try:
        if precision == INT8:
            row = replace(row, notes=subjects.write(engine))
        start = time.perf_counter()
        _found(subjects, row, batch)
        row = replace(row, start=time.perf_counter() - start)
        _found(subjects, row, batch)
        return row
    except (ValueError, ImportError, ExportError) as error:
        return Timing(engine, precision, reason=" ".join(str(error).split()))


def _turns(subjects, timed, batches, rounds):
    """({row: seconds of each batch}, {row: seconds of each batch in the network alone}), the rows taking turns."""
    spent, bare = {row: [] for row in timed}, {row: [] for row in timed}
    for place in range(rounds):
        for row in timed:
            spent[row].append(
                _seconds(lambda row=row, place=place: _found(subjects, row, batches[place % len(batches)]))
            )
    networks: dict[Timing, Any] = {row: _network(subjects.of(row), row) for row in timed}
    size = _input_size(subjects.model)
    stacked = np.stack([resize_bilinear(image, size) for image in batches[0]])
    for _ in range(rounds):
        for row in timed:
            if networks[row] is not None:
                bare[row].append(_seconds(lambda row=row: networks[row](stacked)))
    return spent, bare


def _found(subjects, row, batch, confidence=None):
    options = {**subjects.computing(row), "confidence": confidence}
    return list(detect(subjects.of(row), batch, batch_size=len(batch), **options))


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _network(model, row):
    """A function of a batch that runs the network alone; None for a file, which may hold more than the network."""
    if not isinstance(model, keras.Model):
        return None
    if row.engine == "keras":
        return model.predict_on_batch
    return kept_for(model, choose(model, row.engine, row.precision)).network().outputs


def _input_size(model):
    return getattr(model, "input_size", None) or tuple(model.input_shape[1:3])


def _scores(subjects, row, read):
    return [found.scores for image in read for found in _found(subjects, row, [image], LOW)]


def _filled(subjects, row, spent, bare, batch_size, first, read, dataset):
    model = subjects.of(row)
    both = [(a, b, min(len(a), len(b))) for a, b in zip(first, _scores(subjects, row, read), strict=True)]
    apart = [float(np.abs(a[:count] - b[:count]).max()) for a, b, count in both if count]
    ap = None
    if dataset is not None:
        ap = float(evaluate(model, dataset, progress=False, batch_size=batch_size, **subjects.computing(row)).map)
    of_file = not isinstance(model, keras.Model)
    return replace(
        row,
        precision=model.metadata.precision if of_file and row.precision == FLOAT32 else row.precision,
        rate=batch_size / statistics.median(spent),
        p50=1e3 * statistics.median(spent),
        p95=1e3 * float(np.percentile(spent, 95)),
        bare=1e3 * statistics.median(bare) if bare else None,
        size=_size(model, row),
        difference=max(apart, default=0.0),
        ap=ap,
    )


def _size(model, row):
    if not isinstance(model, keras.Model):
        files = (model.path, model.path.with_suffix(".bin")) if model.path.suffix == ".xml" else (model.path,)
        return sum(Path(file).stat().st_size for file in files)
    if row.engine == "keras":
        return None
    return kept_for(model, choose(model, row.engine, row.precision)).network().size


def _auto(model):
    if isinstance(model, keras.Model):
        return str(_or_words(lambda: choose(model, AUTO)))
    return str(_or_words(lambda: Choice(*file_choice(model.path), reason="the first engine that runs such files")))


def _or_words(call):
    try:
        return call()
    except (ValueError, MissingRuntimeError) as error:
        return error
