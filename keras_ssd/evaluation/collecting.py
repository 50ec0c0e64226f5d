"""Collects the detections of many images compactly while the network runs."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.progress import tracked
from keras_ssd.data.sample import ImageSizeError
from keras_ssd.data.unreadable import Unreadable
from keras_ssd.detections import Detections
from keras_ssd.engines.choosing import choose
from keras_ssd.evaluation.formats import check_target, write_detections
from keras_ssd.evaluation.journal import ROW, Journal, journal_path
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.images import ImageError, Source
from keras_ssd.models.belongings import belongings_of


@checked_arguments
class Collector:
    """Takes `Detections` image by image and stores 24 bytes for each detection.

    Args:
        class_names: names of the class ids, without background.

    Example:
        >>> collector = Collector(("cat", "dog"))
        >>> collector.add("street", Detections([[10, 20, 30, 60]], [0.9], [1], ("cat", "dog"), (100, 200)))
        >>> len(collector.table())
        1
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names: tuple[str, ...] = tuple(class_names)
        self._counts = {}  # name of an image -> its detections
        self._rows = bytearray()

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, image: str, found: Detections) -> None:
        """Adds the detections of an image, by its name.

        Raises:
            ValueError: the image was added before, or the classes differ.
        """
        if image in self._counts:
            raise ValueError(f"The detections of image {image!r} were added before.")
        if found.class_names != self.class_names:
            raise ValueError(
                f"The detections of image {image!r} have the classes {', '.join(found.class_names)}. Expected "
                f"{', '.join(self.class_names)}"
            )
        rows = np.empty(len(found), ROW)
        rows["class_id"], rows["score"], rows["box_xyxy"] = found.class_ids, found.scores, found.boxes_xyxy
        # Equal scores are sorted by class, an order that every file format keeps.
        self._rows += rows[np.lexsort((found.class_ids, -found.scores))].tobytes()
        self._counts[image] = len(rows)

    def table(self) -> DetectionTable:
        """All detections so far as a `DetectionTable`."""
        rows = np.frombuffer(self._rows, ROW)
        image = np.repeat(np.arange(len(self._counts), dtype=np.int32), list(self._counts.values()))
        images = tuple(self._counts)
        return DetectionTable(
            images, self.class_names, image, rows["class_id"], rows["score"], rows["box_xyxy"].reshape(-1, 4)
        )


@checked_arguments
def merge(tables: Iterable[DetectionTable]) -> DetectionTable:
    """Joins the tables of several workers, each with its own images.

    Args:
        tables: `DetectionTable`s of the same classes.

    Returns:
        `DetectionTable`, the images in the order of the tables.

    Raises:
        ValueError: no table, tables of different classes, or an image in two of them.

    Example:
        >>> halves = [collect(model, data[place::2]) for place in range(2)]  # each in its own process
        >>> result = evaluate(merge(halves), data)
    """
    tables = list(tables)
    if not tables:
        raise ValueError("merge needs at least one table.")
    first = tables[0]
    for table in tables:
        if table.class_names != first.class_names:
            raise ValueError(
                "Tables that are merged must have the same classes in the same order. Received: "
                f"{', '.join(first.class_names)}; and {', '.join(table.class_names)}"
            )
    images, seen = [], set()
    for table in tables:
        twice = seen & set(table.images)
        if twice:
            raise ValueError(
                f"{len(twice)} images are in more than one table, such as {min(twice)!r}. Each worker must process "
                "other images."
            )
        seen |= set(table.images)
        images += table.images
    starts = np.cumsum([0, *(len(table.images) for table in tables)])
    image = np.concatenate([table.image + start for table, start in zip(tables, starts, strict=False)])
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("class_ids", "scores", "boxes_xyxy")
    }
    return DetectionTable(tuple(images), first.class_names, image, **columns)


@checked_arguments
def collect(
    model: Any,
    dataset: Dataset,
    *,
    confidence: float = 0.01,
    batch_size: int = 8,
    save: str | os.PathLike[str] | None = None,
    save_format: str | None = None,
    workers: int | None = None,
    progress: bool = True,
    engine: str = "auto",
    precision: str = "float32",
    tiles: int | None = None,
    overlap: float = 0.2,
) -> DetectionTable:
    """Runs a detector over a dataset and returns all detections.

    With `save`, the detections so far are kept beside it in a file that ends in .part. An interrupted run continues
    after its last complete batch and gives the same table.

    Args:
        model: see `keras_ssd.detect`.
        dataset: `keras_ssd.data.Dataset`; its objects are not used.
        confidence: lowest score that is kept, 0..1. A measure needs low scores, too.
        batch_size: images per batch.
        save: file for the detections, written at the end, see `write_detections`.
        save_format: of that file; None to choose by its ending.
        workers: threads that read images; None is one per processor.
        progress: whether to show a progress bar on a terminal.
        engine, precision: what computes the network, see `keras_ssd.detect`.
        tiles, overlap: of tiles that large images are cut into, see `keras_ssd.detect`.

    Returns:
        `DetectionTable` of the dataset's images, in its order, and the model's classes. If the dataset was read with
        the policy "drop" or "clip", unreadable images are left out with a warning.

    Raises:
        ValueError: the .part file is of another run; or as `keras_ssd.detect`.
        DataError: images cannot be read and the dataset's policy is "error"; it names all of them.
    """
    from keras_ssd.detecting import detect, detections_or_errors

    names = class_names_of(model)
    sources = [Source(a.image, a.image if isinstance(a.image, str) else a.name) for a in dataset]
    unreadable = Unreadable(dataset)
    options = {"confidence": confidence, "batch_size": batch_size, "workers": workers}
    options |= {"engine": engine, "precision": precision, "tiles": tiles, "overlap": overlap}
    detect(model, (), **options)  # refuses wrong arguments before there is a file
    collector = Collector(names)
    with contextlib.ExitStack() as stack:
        journal = None
        if save is not None:
            check_target(save, save_format, no_detections(dataset, names), dataset)
            journal = Journal(journal_path(save), _run(model, names, dataset, options))
            stack.callback(journal.close)
            journal.keep(len(journal) // batch_size * batch_size)  # the same batches, for the same rounding
        done = 0 if journal is None else len(journal)
        for place, earlier in enumerate(() if journal is None else journal.found(names)):
            _take(collector, unreadable, place, earlier)
        found = stack.enter_context(contextlib.closing(detections_or_errors(model, sources[done:], **options)))
        todo = stack.enter_context(contextlib.closing(tracked(range(done, len(dataset)), "detecting", progress)))
        for place, detections in zip(todo, found, strict=True):
            _take(collector, unreadable, place, detections, journal)
        table = collector.table()
        if save is not None and journal is not None:
            write_detections(table, save, save_format, dataset=seen_in(table, dataset))
            journal.remove()
    return table


def _take(collector, unreadable, place, found, journal=None):
    """Adds the detections of an image, or notes that it cannot be read."""
    annotation = unreadable.dataset[place]
    error = found if isinstance(found, ImageError) else None
    if found is None:
        error = ImageError(annotation.name, "it could not be read when this run began.")
    elif not isinstance(found, ImageError) and annotation.size_hw not in (None, found.size_hw):
        error = ImageSizeError(annotation, found.size_hw)
    if error is not None:
        unreadable.note(place, error)
    else:
        collector.add(annotation.name, found)
    if journal is not None:
        journal.add(None if error is not None else found)


def seen_in(table: DetectionTable, dataset: Dataset) -> Dataset:
    """The dataset without the images that are not in the table because they are unreadable.

    Raises:
        ValueError: no image is left.
    """
    names = set(table.images)
    if len(names) == len(dataset):
        return dataset
    if not names:
        raise ValueError(f"No image of {dataset.name} can be read.")
    return dataset[[place for place, annotation in enumerate(dataset) if annotation.name in names]]


def no_detections(dataset: Dataset, class_names: tuple[str, ...]) -> DetectionTable:
    """A `DetectionTable` of a dataset, without detections."""
    nothing = np.zeros(0)
    images = tuple(annotation.name for annotation in dataset)
    return DetectionTable(images, class_names, nothing, nothing, nothing, np.zeros((0, 4)))


def class_names_of(model: Any) -> tuple[str, ...]:
    """The names of a model's classes.

    Raises:
        TypeError: it has none.
    """
    names = belongings_of(model).class_names
    if not names:
        raise TypeError(
            "Evaluating needs a detector that knows its classes, such as a model of keras_ssd; a `DetectionTable`; or "
            f"the path of a file of detections. Received: {type(model).__name__}"
        )
    return tuple(names)


def _run(model, names, dataset, options):
    """The facts that must be equal for a run to continue: plain values."""
    images = hashlib.blake2b("\n".join(annotation.name for annotation in dataset).encode(), digest_size=8)
    return {
        "the images": f"{len(dataset)}, {images.hexdigest()}",
        "the classes": list(names),
        "the confidence": float(options["confidence"]),
        "the model": f"{model.name}, weights {getattr(model, 'digest', None) or _digest_of_weights(model)}",
        **_engine(model, options["engine"], options["precision"]),
        **({} if options["tiles"] is None else {"the tiles": f"{options['tiles']}, overlap {options['overlap']}"}),
        **{f"the decoder's {name}": str(value) for name, value in _decoding(model).items()},
    }


def _engine(model, engine, precision):
    """What computes, unless it is Keras."""
    if not isinstance(model, keras.Model):
        return {}
    choice = choose(model, engine, precision)
    return {} if choice.engine.is_keras else {"the engine": f"{choice.engine.name}, {choice.precision}"}


def _decoding(model):
    """The options of a model's decoder; names of layers are left out, since Keras numbers them."""
    from keras_ssd.layers import DecodeDetections

    options = dict(getattr(model, "decoding", None) or {})
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, DecodeDetections):
            options |= {name: value for name, value in layer.get_config().items() if name not in ("name", "dtype")}
    return options


def _digest_of_weights(model):
    digest = hashlib.blake2b(digest_size=8)
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()
