"""Checks a whole dataset: every fault of every split, every image decoded, copies and leaks."""

import dataclasses
import itertools
import os
from collections.abc import Sequence

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.formats.table import CsvLayout
from keras_ssd.data.image_files import file_digest, look
from keras_ssd.data.problems import DataError, Problem, Problems
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.reading import read_to_check
from keras_ssd.data.sample import ImageSizeError
from keras_ssd.data.summaries import counted
from keras_ssd.data.whole import unusable
from keras_ssd.images import ImageError, is_image_name, read_image

_BETWEEN = ("duplicate image",)  # reported when all splits are read at once, for images that are in two of them


@dataclasses.dataclass(frozen=True)
class Checked:
    """The result of a check.

    Args:
        splits: dictionary from name to `Dataset`, without faulty images and objects.
        problems: `Problems` of all splits, each once.
    """

    splits: dict[str, Dataset]
    problems: Problems

    @property
    def ok(self) -> bool:
        """Whether there is no fault; there may be notes."""
        return not self.problems.faults

    def text(self, shown: int = 20) -> str:
        """The report: the splits, then the problems by kind, `shown` of each."""
        lines = [
            f"{data.name}: {counted(len(data), 'image')}, {counted(data.num_objects, 'object')}, "
            f"{counted(len(data.classes), 'class', 'classes')}"
            for data in self.splits.values()
        ]
        if not self.problems:
            return "\n".join([*lines, "No problem found."])
        faults, notes = len(self.problems.faults), len(self.problems.notes)
        counts = f"{counted(faults, 'fault')}, {counted(notes, 'note')}"
        return "\n".join([*lines, counts, self.problems.text(shown)])

    def __str__(self) -> str:
        return self.text()


@checked_arguments(class_names="classes")
def check(
    path: str | os.PathLike[str],
    *,
    decode: bool = True,
    format: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    csv: CsvLayout | None = None,
    progress: bool = False,
) -> Checked:
    """Checks the files of a dataset; nothing is changed.

    Args:
        path: as in `keras_ssd.data.read`.
        decode: whether to decode every image, which finds broken ones, wrong sizes, copies and look-alikes.
        format, classes, images, csv: as in `keras_ssd.data.read`.
        progress: whether to show progress bars on a terminal.

    Raises:
        ValueError, FileNotFoundError: there are no data to check.

    Example:
        >>> print(keras_ssd.data.check("BCCD"))
    """
    options = {"format": format, "classes": classes, "images": images, "csv": csv, "progress": progress}
    try:
        splits, whole = read_to_check(path, **options)
    except DataError as error:  # a split is empty
        return Checked({}, _plain(error.problems))
    problems = [problem for data in splits.values() for problem in data.problems]
    problems += [problem for problem in whole.problems if problem.kind not in _BETWEEN]
    problems += _unused(whole, splits)
    if decode:
        problems += _image_problems(splits, progress)
    problems += _unlabelled(splits, whole)
    return Checked(splits, _plain(problems))


def _plain(problems):
    """Each problem once, and without what reading did about it, since a check changes nothing."""
    return Problems(dict.fromkeys(dataclasses.replace(problem, done="") for problem in problems))


def _unused(whole, splits):
    listed = {annotation.image for data in splits.values() for annotation in data}
    for annotation in whole:
        if annotation.image not in listed:
            yield Problem("unused", annotation.source or "", "no split lists it", image=annotation.name)


def _image_problems(splits, progress):
    """Problems of the images themselves, each file looked at once."""
    homes, first = {}, {}
    for split, data in splits.items():
        for annotation in data:
            homes.setdefault(annotation.image, set()).add(split)
            first.setdefault(annotation.image, annotation)
    found, copies, looks = [], {}, {}
    with worked_ahead(_view, [*first.values()], "looking at images", progress) as views:
        for annotation, future in views:
            problem = _noted(annotation, future, copies, looks)
            found += [problem] if problem else []
    homes_of = {digest: set().union(*(homes[image] for image in same)) for digest, same in copies.items()}
    unions = _unions(homes_of, splits)
    found += [problem for digest, same in copies.items() for problem in _copies(same, homes_of[digest], unions)]
    found += [problem for alike in looks.values() for problem in _look_alikes([*alike.values()], homes, unions)]
    return found


def _noted(annotation, future, copies, looks):
    """Groups an image with its copies and look-alikes; returns its own problem, or None."""
    try:
        digest, seen, size_hw = future.result()
    except (ImageError, OSError) as error:
        return unusable(annotation, error)
    copies.setdefault(digest, []).append(annotation.image)
    if seen is not None:
        looks.setdefault(seen, {}).setdefault(digest, annotation.image)
    if size_hw == annotation.size_hw:
        return None
    return unusable(annotation, ImageSizeError(annotation, size_hw))


def _view(annotation):
    image = read_image(annotation.image)
    return file_digest(annotation.image), look(image), image.shape[:2]


def _unions(homes, splits):
    """(whole, part) of splits made of others, as trainval is of train and val: they share images on purpose.

    A split inside another one whose rest is in no split is a leak.
    """
    members = {split: {digest for digest, where in homes.items() if split in where} for split in splits}
    found = set()
    for whole in splits:
        parts = [part for part in splits if members[part] and members[part] < members[whole]]
        if set().union(*(members[part] for part in parts)) == members[whole]:
            found |= {(whole, part) for part in parts}
    return found


def _copies(same, where, unions):
    """Problems of files with the same bytes: a leak between splits, or a duplicate within one."""
    where = sorted(where)
    leaks = [pair for pair in itertools.combinations(where, 2) if not ({pair, pair[::-1]} & unions)]
    for pair in leaks:
        copies = "" if len(same) == 1 else f", as {' and '.join(same[1:4])}"
        yield Problem("leak", same[0], f"the same image is in {pair[0]} and in {pair[1]}{copies}")
    if len(same) > 1 and len(where) == 1:
        yield Problem("duplicate image", same[0], f"the same bytes are in {' and '.join(same[1:4])}")


def _look_alikes(images, homes, unions):
    wholes = {whole for whole, _ in unions}
    for one, other in itertools.pairwise(images):
        if not (homes[one] & homes[other]) - wholes:
            yield Problem("look-alike", one, f"it looks like {other}, which is in another split")


def _unlabelled(splits, whole):
    """Images beside annotated ones that have no annotation."""
    every = [*splits.values(), whole]
    known = {os.path.abspath(annotation.image) for data in every for annotation in data}
    named = {problem.image.rsplit("/")[-1] for data in every for problem in data.problems}
    for folder in sorted({os.path.dirname(image) for image in known if os.path.isfile(image)}):
        for name in sorted(os.listdir(folder)):
            stem = os.path.splitext(name)[0]
            whole = os.path.join(folder, name)
            if is_image_name(name) and whole not in known and stem not in named:
                yield Problem("unlabelled", os.path.join(folder, name), "no split has an annotation of it")
