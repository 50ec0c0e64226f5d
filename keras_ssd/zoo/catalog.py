"""The catalogue of weight sets: where they are published, and how they were trained.

A weight set is one set of trained numbers that may be published in several files: `ssd300.voc07+12` exists as a Caffe
archive, as an HDF5 port and as a numpy archive. The rows are data (`catalog.toml`), which is read strictly.
"""

import functools
import tomllib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name
from keras_ssd.zoo import schema
from keras_ssd.zoo.classes import label_ids as label_ids
from keras_ssd.zoo.classes import label_sets as label_sets
from keras_ssd.zoo.classes import labels as labels
from keras_ssd.zoo.classes import same_classes as same_classes
from keras_ssd.zoo.classes import slots as slots
from keras_ssd.zoo.shelf import shelf as shelf


@dataclass(frozen=True)
class Format:
    """How a weight file is written. `magic`: the first bytes, one of which a whole file begins with."""

    name: str
    title: str
    extension: str
    readable: bool
    magic: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """A network with weights. `available`: this package builds it. `input_size` is (height, width)."""

    name: str
    title: str
    available: bool
    input_size: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """What the network was trained on: `(x - mean_rgb) * scale` with x in 0..255, then this colour order."""

    name: str
    colour: str
    mean_rgb: tuple[float, float, float]
    scale: float


@dataclass(frozen=True)
class Source:
    """One place that publishes a weight set.

    `file` is the name in the cache. With `archive`, the url delivers that archive, and `member` of it is the
    file; `prototxt` is another member, which describes the network of a .caffemodel. `size` in bytes and `checksum`
    as `algorithm:hex` are those of what the url delivers. A `bundled` source has no url: its file is part of this
    package, in `weights/` of the shelf.
    """

    format: str
    url: str | None
    file: str
    archive: str | None = None
    member: str | None = None
    prototxt: str | None = None
    size: int | None = None
    about_mb: float | None = None
    checksum: str | None = None
    note: str = ""
    bundled: bool = False

    def __post_init__(self) -> None:
        schema.check_source(self)

    @property
    def origin(self) -> str | None:
        """The url, or "part of this package"."""
        return "part of this package" if self.bundled else self.url


@dataclass(frozen=True)
class Result:
    """A published measurement: `value` in per cent, and its publisher."""

    dataset: str
    measure: str
    value: float
    source: str
    note: str = ""


@dataclass(frozen=True)
class WeightSet:
    """One set of trained weights.

    `classes` names a label set, `slots` counts outputs with background, `scales` is `"voc"`, `"coco"` or `"cells"`.
    `anchors_truncated`: trained on Caffe's prior sizes, which are cut to whole pixels. None: not published.
    """

    model: str
    tag: str
    sources: tuple[Source, ...]
    trained_on: str = "not stated"
    licence: str = "not stated"
    classes: str | None = None
    slots: int | None = None
    scales: str | None = None
    anchors_truncated: bool | None = None
    anchors_clipped: bool = False
    preprocessing: Preprocessing | None = None
    results: tuple[Result, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """The unique name, `model.tag`."""
        return f"{self.model}.{self.tag}"

    @property
    def described(self) -> bool:
        """Whether the network is built from the description in an archive, as there is no factory for it."""
        return not architectures()[self.model].available and any(source.prototxt for source in self.sources)

    @property
    def readable_sources(self) -> tuple[Source, ...]:
        """The sources in formats that this package reads, in order of preference."""
        usable = [source for source in self.sources if source.prototxt or not self.described]
        return tuple(source for source in usable if formats()[source.format].readable)

    @property
    def bundled(self) -> bool:
        """Whether the file that would be loaded is part of this package."""
        return any(source.bundled for source in self.readable_sources[:1])

    @property
    def readable(self) -> bool:
        """Whether this package can build the model and read one of the files."""
        return (architectures()[self.model].available or self.described) and bool(self.readable_sources)


@functools.cache
def _tables():
    """The checked tables of the shelf's catalogue."""
    path = shelf() / "catalog.toml"
    return read(path.read_text(encoding="utf-8"), str(path))


def read(
    text: str, origin: str = "catalog.toml"
) -> tuple[dict[str, Format], dict[str, Architecture], tuple[WeightSet, ...]]:
    """Reads and checks a catalogue.

    Args:
        text: the TOML text.
        origin: its name, for messages.

    Returns:
        (formats, architectures, entries): two dictionaries by name and a tuple of `WeightSet`.

    Raises:
        ValueError: the text is no TOML, or a row has an unknown, missing or malformed field; the row is named.
    """
    try:
        tables = schema.check_document(tomllib.loads(text))
        known_formats = {
            name: Format(name, **{**row, "magic": tuple(bytes.fromhex(m) for m in row.get("magic", ()))})
            for name, row in tables["formats"].items()
        }
        known_models = {
            name: Architecture(name, **{**row, "input_size": tuple(row.get("input_size", ())) or None})
            for name, row in tables["models"].items()
        }
        recipes = {
            name: Preprocessing(name, **{**row, "mean_rgb": tuple(row["mean_rgb"])})
            for name, row in tables["preprocessing"].items()
        }
        sets = tuple(_weight_set(row, recipes) for row in tables["weights"])
    except ValueError as error:  # tomllib's own error is a ValueError too
        raise ValueError(f"{origin}: {error}") from error
    return known_formats, known_models, sets


def _weight_set(row, recipes):
    row = dict(row)
    row["sources"] = tuple(Source(**{"url": None, **source}) for source in row["sources"])
    row["results"] = tuple(Result(**result) for result in row.get("results", ()))
    if "preprocessing" in row:
        row["preprocessing"] = recipes[row["preprocessing"]]
    return WeightSet(**row)


def formats() -> dict[str, Format]:
    """The known file formats by name."""
    return _tables()[0]


def architectures() -> dict[str, Architecture]:
    """The known networks by name."""
    return _tables()[1]


@checked_arguments
def entries(*, model: str | None = None, readable: bool | None = None) -> tuple[WeightSet, ...]:
    """The weight sets of the catalogue.

    Args:
        model: only those of this network, for example `"ssd300"`.
        readable: True for those that this package can load, False for the others, None for all.

    Returns:
        A tuple of `WeightSet`, in the order of the catalogue.
    """
    if model is not None and model not in architectures():
        raise ValueError(unknown_name("model", model, architectures()))
    return tuple(entry for entry in _tables()[2] if model in (None, entry.model) and readable in (None, entry.readable))


@checked_arguments
def find(name: str, model: str | None = None) -> WeightSet:
    """The weight set of this name.

    Args:
        name: `"ssd300.voc07+12"`, or the tag alone where `model` says which network is meant.
        model: the network, for example `"ssd300"`; a full name must then be of this network.

    Returns:
        A `WeightSet`.

    Raises:
        ValueError: no such name (the nearest are suggested), or a bare tag that several networks have.

    Example:
        >>> find("voc07+12", model="ssd300").sources[0].file
        'VGG_VOC0712_SSD_300x300_iter_120000.h5'
    """
    name = str(name)
    pool = entries(model=model)
    hits = [entry for entry in pool if name in ((entry.name, entry.tag) if model else (entry.name,))]
    if hits:
        return hits[0]
    owners = [entry.name for entry in entries() if name in (entry.tag, entry.name)]
    if len(owners) == 1 and model is None:
        return find(owners[0])
    if owners and model is None:
        raise ValueError(
            f"Weights {name!r} exist for several models. Expected one of {', '.join(map(repr, owners))}. "
            f"Received: name={name!r}"
        )
    if owners:
        raise ValueError(
            f"Weights {name!r} do not belong to {model}; they are those of {', '.join(owners)}. "
            f"For {model} there are: {', '.join(entry.tag for entry in pool)}."
        )
    full = [entry.name for entry in pool]
    known = [entry.tag for entry in pool] if model and "." not in name else full
    raise ValueError(
        unknown_name("weights", name, known, "`keras-ssd zoo list` shows all; a path to a file works too.")
    )


@checked_arguments
def by_file_name(path: str | PathLike[str]) -> WeightSet | None:
    """The weight set that is published under this file name, so that a copy on disk is recognised.

    Args:
        path: a path or a bare file name; only its last part counts, archives are known by their name too.

    Returns:
        A `WeightSet`, or None when the name is not in the catalogue.

    Example:
        >>> by_file_name("Downloads/VGG_coco_SSD_300x300_iter_400000.h5").name
        'ssd300.coco'
    """
    wanted = Path(path).name
    for entry in entries():
        for source in entry.sources:
            if wanted in (source.file, source.archive):
                return entry
    return None
