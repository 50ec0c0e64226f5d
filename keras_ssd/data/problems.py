"""The problems of a dataset: what is wrong, where, and what was done."""

import collections
import dataclasses
from typing import Any

from keras_ssd.calling import former_attributes

POLICIES = ("error", "drop", "clip")
DEFAULT_POLICY = "error"
SHOWN = 20  # problems that a message lists
SHOWN_FILES = 1000  # files and images that are listed in addition, since each needs its own repair
WHOLE_FILES = ("file", "missing image", "broken image", "image size")

# Kinds of faults, which a policy handles, and of notes, which do not change the data.
FAULTS: dict[str, str] = {
    "file": "annotation files that cannot be read",
    "entry": "entries that are not objects",
    "label": "unknown labels",
    "no area": "boxes without area",
    "swapped": "boxes with swapped corners",
    "outside": "boxes that leave the image",
    "missing image": "images that are missing",
    "broken image": "images that cannot be read",
    "image size": "images whose size differs from their annotation",
    "duplicate id": "ids or names that occur twice",
    "leak": "images in more than one split",
    "empty split": "splits without images",
    "no labels": "splits of which no image has a label file",
}
NOTES: dict[str, str] = {
    "incomplete": "images that lose an object, and are left out where faults are dropped",
    "edge": "boxes that left the image by at most a pixel, and were clipped",
    "duplicate object": "objects that are marked twice",
    "duplicate image": "images that occur twice",
    "look-alike": "images of different splits that look the same",
    "unlabelled": "images without annotation",
    "unused": "annotation that was not used",
    "assumed": "assumptions",
    "absent split": "splits that are named and not there",
    "no objects": "splits without any object",
}


@former_attributes(picture="image")
@dataclasses.dataclass(frozen=True)
class Problem:
    """One problem.

    Args:
        kind: one of `FAULTS` or `NOTES`.
        file: the file with the problem.
        what: a sentence without the place.
        line: of the file, 0 if it has no lines.
        image: name of the image, if it is about one.
        done: what was done about it: "left out", "clipped"; empty for nothing.
    """

    kind: str
    file: str
    what: str
    line: int = 0
    image: str = ""
    done: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        done = f" ({self.done})" if self.done else ""
        text = f"{place}: {self.what}{done}"
        return text.encode("utf-8", "backslashreplace").decode()  # json may hold halves of characters

    @property
    def is_fault(self) -> bool:
        """Whether a policy decides about it, rather than a note."""
        return self.kind in FAULTS


class DataError(ValueError):
    """Data with faults under the policy "error".

    Attributes:
        problems: `Problems`, all of them.
    """

    def __init__(self, problems: "Problems", advice: str = "") -> None:
        faults = [dataclasses.replace(problem, done="") for problem in problems.faults]
        faults = Problems(sorted(faults, key=lambda problem: problem.kind not in WHOLE_FILES))
        title = f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the data:"
        shown = SHOWN + min(SHOWN_FILES, sum(problem.kind in WHOLE_FILES for problem in faults))
        super().__init__("\n".join([title, *faults.lines(shown), *([advice] if advice else [])]))
        self.problems: Problems = problems
        self.advice: str = advice

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.advice)


class Problems(tuple[Problem, ...]):
    """Problems in the order in which they were found.

    Example:
        >>> problems = Problems([Problem("no area", "a.xml", "object 3 has no area", line=94)])
        >>> print(problems)
        boxes without area: 1
          a.xml:94: object 3 has no area
    """

    __slots__ = ()

    @property
    def faults(self) -> "Problems":
        """Those that a policy decides about."""
        return Problems(problem for problem in self if problem.is_fault)

    @property
    def notes(self) -> "Problems":
        """Those that do not change the data."""
        return Problems(problem for problem in self if not problem.is_fault)

    def of_kind(self, kind: str) -> "Problems":
        """Those of one kind."""
        return Problems(problem for problem in self if problem.kind == kind)

    def counts(self) -> dict[str, int]:
        """Dictionary from kind to how many, in the order of `FAULTS` and `NOTES`."""
        found = collections.Counter(problem.kind for problem in self)
        return {kind: found[kind] for kind in (*FAULTS, *NOTES) if found[kind]}

    def lines(self, shown: int = SHOWN) -> list[str]:
        """One line per problem, at most `shown`, and one with the number of the others."""
        texts = [f"  {problem}" for problem in self[:shown]]
        return texts + ([f"  ... and {len(self) - shown} more"] if len(self) > shown else [])

    def text(self, shown: int = SHOWN) -> str:
        """For each kind, the number of problems and the places of the first `shown`."""
        lines = []
        for kind, count in self.counts().items():
            lines += [f"{(FAULTS | NOTES)[kind]}: {count}", *self.of_kind(kind).lines(shown)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def to_list(self) -> list[dict[str, Any]]:
        """Plain dictionaries, ready for JSON."""
        return [dataclasses.asdict(problem) for problem in self]


def check_policy(policy: str) -> None:
    """Raises ValueError for an unknown policy."""
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(map(repr, POLICIES))}. Received: policy={policy!r}")
