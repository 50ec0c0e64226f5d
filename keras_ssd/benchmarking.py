"""How fast a detector is in each engine and precision, side by side on one machine."""

import statistics
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
from keras_ssd.engines.compiling import kept_for
from keras_ssd.evaluation import evaluate
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.images import read_image, resize_bilinear

LOW = 0.01  # scores above this are compared


@dataclass(frozen=True)
class Timing:
    """One engine in one precision.

    Args:
        engine, precision: their names.
        reason: why there are no figures, in words; "" where there are.
        rate: images per second of `detect`, from images in memory.
        p50, p95: milliseconds of a batch.
        bare: milliseconds of a batch in the network alone; None where it was not measured.
        start: seconds until the first result.
        size: bytes of what the engine was given; None for a model of Keras that has no file.
        difference: largest difference of scores from the first row of the table.
        ap: average precision (VOC 2012) on annotated images; None without them.
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

    Raises:
        ValueError: no image, or an unknown engine.
    """
    if not len(images) or batch_size < 1 or rounds < 1:
        raise ValueError("A benchmark needs at least one image, and `batch_size` and `rounds` from 1 on.")
    read = [read_image(image) for image in images[: max(batch_size, 8)]]
    batches = [[read[(start + place) % len(read)] for place in range(batch_size)] for start in range(len(read))]
    rows = [_started(model, *pair, batches[0]) for pair in _pairs(model, engines)]
    timed = [row for row in rows if not row.reason]
    spent, bare = {row: [] for row in timed}, {row: [] for row in timed}
    for place in range(rounds):
        for row in timed:
            spent[row].append(_seconds(lambda row=row, place=place: _found(model, row, batches[place % len(batches)])))
    networks: dict[Timing, Any] = {row: _network(model, row) for row in timed}
    stacked = np.stack([resize_bilinear(image, _input_size(model)) for image in batches[0]])
    for _ in range(rounds):
        for row in timed:
            if networks[row] is not None:
                bare[row].append(_seconds(lambda row=row: networks[row](stacked)))
    first = _scores(model, timed[0], read) if timed else []
    whole = [_filled(model, row, spent[row], bare[row], batch_size, first, read, dataset) for row in timed]
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
    for pair in _pairs(models[0], engines):
        started = [_started(model, *pair, read[:1]) for model in models]
        reason = next((row.reason for row in started if row.reason), "")
        spent = [[] for _ in models]
        for place in range(0 if reason else rounds):
            for model, row, times in zip(models, started, spent, strict=True):
                batch = [read[place % len(read)]]
                times.append(_seconds(lambda model=model, row=row, batch=batch: _found(model, row, batch)))
        rows.append(Compared(*pair, tuple(1e3 * statistics.median(times) for times in spent if times), reason))
    return tuple(rows)


def _pairs(model, engines):
    """(engine, precision) of each row; Keras first, since the others are compared with it."""
    for name in engines or ():
        if name not in ENGINES:
            choose(model, name)  # raises
    of_file = not isinstance(model, keras.Model)
    names = [name for name in reversed(ENGINES) if name not in NEVER_CHOSEN or of_file]
    chosen = [name for name in reversed(ENGINES) if name in engines] if engines else names
    able = [name for name in chosen if not of_file or model.path.suffix.lower() in ENGINES[name].endings]
    return [
        (name, precision) for precision in PRECISIONS for name in able if precision == FLOAT32 or name == "openvino"
    ]


def _started(model, engine, precision, batch):
    row = Timing(engine, precision)
    try:
        start = time.perf_counter()
        _found(model, row, batch)
        row = replace(row, start=time.perf_counter() - start)
        _found(model, row, batch)
        return row
    except (ValueError, ImportError, ExportError) as error:
        return Timing(engine, precision, reason=" ".join(str(error).split()))


def _found(model, row, batch, confidence=None):
    options = {"engine": row.engine, "precision": row.precision, "confidence": confidence}
    return list(detect(model, batch, batch_size=len(batch), **options))


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


def _scores(model, row, read):
    return [found.scores for image in read for found in _found(model, row, [image], LOW)]


def _filled(model, row, spent, bare, batch_size, first, read, dataset):
    both = [(a, b, min(len(a), len(b))) for a, b in zip(first, _scores(model, row, read), strict=True)]
    apart = [float(np.abs(a[:count] - b[:count]).max()) for a, b, count in both if count]
    ap = None
    if dataset is not None:
        options = {"engine": row.engine, "precision": row.precision}
        ap = float(evaluate(model, dataset, progress=False, batch_size=batch_size, **options).map)
    return replace(
        row,
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
