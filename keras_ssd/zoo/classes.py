"""The label sets of VOC, COCO and ILSVRC, and which of their names mean the same."""

import functools
import tomllib

from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name
from keras_ssd.zoo.shelf import shelf


def label_sets() -> tuple[str, ...]:
    """The names of the label sets on the shelf, sorted."""
    return tuple(sorted(path.stem for path in (shelf() / "labels").glob("*.txt")))


@functools.cache
def _rows(name):
    path = shelf() / "labels" / f"{name}.txt"
    if name not in label_sets():
        raise ValueError(unknown_name("label set", name, label_sets()))
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = tuple(tuple(line.split("\t")) for line in lines if line)
    if len({row[0] for row in rows}) != len(rows) or len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"{path} has a class name twice, or rows of different lengths. Expected one name per line, "
            "each with or each without an identifier after a tab."
        )
    return rows


@checked_arguments
def labels(name: str) -> tuple[str, ...]:
    """The class names of a label set, in the order of the weights' class outputs, without background.

    Args:
        name: a label set, for example `"voc"`, `"coco"` or `"ilsvrc"`.

    Returns:
        A tuple of strings; class id `i` of a model is `labels(name)[i]`.

    Raises:
        ValueError: the label set is not on the shelf.

    Example:
        >>> labels("voc")[14]
        'person'
    """
    return tuple(row[0] for row in _rows(name))


@checked_arguments
def label_ids(name: str) -> tuple[int | str, ...]:
    """The identifiers that a dataset itself gives its classes, because result files must carry those.

    Args:
        name: `"coco"` (integers 1..90 with gaps) or `"ilsvrc"` (WordNet ids such as `"n02672831"`).

    Returns:
        A tuple as long as `labels(name)`.

    Raises:
        ValueError: the label set is unknown, or its dataset has no identifiers besides the names.
    """
    rows = _rows(name)
    if len(rows[0]) < 2:
        raise ValueError(f"The classes of label set {name!r} have no identifiers besides their names.")
    return tuple(int(row[1]) if row[1].isdecimal() else row[1] for row in rows)


@checked_arguments
def slots(name: str) -> tuple[str, ...]:
    """A name for every identifier from 1 to the last one of the label set, for heads that were trained with gaps.

    COCO uses 80 of the identifiers 1 to 90. The heads of TensorFlow and torchvision have a column for each of the 90.

    Args:
        name: a label set with whole numbers as identifiers: `"coco"`.

    Returns:
        A tuple; identifiers without a class are called `"unused 12"` and so on.

    Raises:
        ValueError: the label set is unknown, or its identifiers are no numbers.

    Example:
        >>> slots("coco")[10:13]
        ('fire hydrant', 'unused 12', 'stop sign')
    """
    known = {
        number: label for number, label in zip(label_ids(name), labels(name), strict=True) if isinstance(number, int)
    }
    if len(known) < len(labels(name)):
        raise ValueError(f"The identifiers of label set {name!r} are not numbers, so there are no gaps between them.")
    return tuple(known.get(number, f"unused {number}") for number in range(1, max(known) + 1))


@checked_arguments
def same_classes(source: str, target: str) -> dict[str, str]:
    """Names of one label set that mean the same in another, spelled as each set spells them.

    Args:
        source: a label set, for example `"coco"`.
        target: another one, for example `"voc"`.

    Returns:
        A dictionary from the source's names to the target's, in the order of the target.

    Raises:
        ValueError: there is no map for this pair.

    Example:
        >>> same_classes("coco", "voc")["tv"]
        'tvmonitor'
    """
    folder = shelf() / "maps"
    path = folder / f"{source}_to_{target}.toml"
    known = [p.stem for p in sorted(folder.glob("*_to_*.toml"))]
    if path.stem not in known:
        raise ValueError(unknown_name("pair of label sets", path.stem, known))
    return tomllib.loads(path.read_text(encoding="utf-8"))
