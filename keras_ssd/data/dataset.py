"""A dataset: images with objects, the names of the classes, and what was wrong."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.parting import Joined, random_parts
from keras_ssd.data.problems import DEFAULT_POLICY, Problems, check_policy
from keras_ssd.data.summaries import counted, summary
from keras_ssd.detections import class_ids_of
from keras_ssd.names import check_class_names, unknown_name


@checked_arguments
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Annotated images of one set of classes.

    It cannot be changed; `filter`, `split`, `sample`, `merge` and `with_classes` make new ones. `data[3]` is an
    `Annotation`, `data[:100]`, `data[[4, 2]]` and `data[mask]` are datasets.

    Args:
        name: for messages.
        classes: names without background; class ids are places in it.
        annotations: `Annotation`s with names that occur once.
        format: what it was read from: a format of `keras_ssd.data.read`, "dictionaries", or "" for none.
        problems: `Problems` that were found when it was read.
        category_ids: what the source calls each class (COCO's category ids), or None.
        splits: names of the splits that the source offers, of which this may be one.
        policy: what becomes of images that turn out to be unreadable when they are used: "error" ends the work, "drop"
            and "clip" leave them out and name them; see `keras_ssd.data.read`.

    Raises:
        ValueError: a class id without a class, or two annotations of one name.

    Example:
        >>> data = Dataset("cats", ("cat", "dog"), [Annotation("a", "a.jpg", [[1, 2, 3, 4]], [1], (9, 9))])
        >>> print(data)
        cats: 1 image, 1 object, 2 classes
          dog 1, cat 0
    """

    name: str
    classes: tuple[str, ...]
    annotations: Sequence[Annotation]  # stored as a tuple
    format: str = ""
    problems: Problems = Problems()  # noqa: RUF009 - a tuple
    category_ids: tuple[Any, ...] | None = None
    splits: tuple[str, ...] = ()
    policy: str = DEFAULT_POLICY

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", check_class_names("classes", self.classes))
        object.__setattr__(self, "annotations", tuple(self.annotations))
        object.__setattr__(self, "problems", Problems(self.problems))
        object.__setattr__(self, "splits", tuple(self.splits))
        check_policy(self.policy)
        if self.category_ids is not None:
            object.__setattr__(self, "category_ids", tuple(self.category_ids))
            if len(self.category_ids) != len(self.classes):
                raise ValueError(
                    f"category_ids must give one id for each of the {len(self.classes)} classes. "
                    f"Received: {len(self.category_ids)} ids"
                )
        seen = set()
        for annotation in self.annotations:
            if annotation.name in seen:
                raise ValueError(f"{self.name}: two annotations have the name {annotation.name!r}. Rename one of them.")
            seen.add(annotation.name)
            if len(annotation) and annotation.class_ids.max() >= len(self.classes):
                raise ValueError(
                    f"{self.name}: {annotation.name!r} has class id {annotation.class_ids.max()}, and there are "
                    f"{len(self.classes)} classes: class ids count from 0, without background."
                )

    def __len__(self) -> int:
        return len(self.annotations)

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.annotations)

    @overload
    def __getitem__(self, index: int | np.integer | str) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | Sequence[bool] | np.ndarray) -> "Dataset": ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return self.annotations[int(index)]
        if isinstance(index, str):
            return self._named(index)
        if isinstance(index, slice):
            return dataclasses.replace(self, annotations=self.annotations[index])
        places = np.asarray(index) if len(index) else np.zeros(0, int)
        places = np.flatnonzero(places) if places.dtype == bool else places
        return dataclasses.replace(self, annotations=[self.annotations[int(place)] for place in places])

    def _named(self, name):
        for annotation in self.annotations:
            if annotation.name == name:
                return annotation
        raise KeyError(unknown_name("image", name, [annotation.name for annotation in self.annotations]))

    def __eq__(self, other: object) -> bool:
        """Same classes and equal annotations in the same order."""
        if not isinstance(other, Dataset):
            return NotImplemented
        return (self.classes, self.annotations) == (other.classes, other.annotations)

    def __repr__(self) -> str:
        kind = f", {self.format}" if self.format else ""
        sizes = f"{counted(len(self), 'image')}, {counted(len(self.classes), 'class', 'classes')}"
        return f"Dataset({self.name!r}, {sizes}{kind})"

    def __str__(self) -> str:
        return self.report(shown=3)

    @property
    def num_objects(self) -> int:
        """How many objects all images hold."""
        return sum(len(annotation) for annotation in self.annotations)

    def counts(self) -> dict[str, int]:
        """Dictionary from class name to how many objects it has, in the order of the classes."""
        ids = [annotation.class_ids for annotation in self.annotations]
        counts = np.bincount(np.concatenate(ids), minlength=len(self.classes)) if ids else [0] * len(self.classes)
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @checked_arguments
    def report(self, shown: int = 20) -> str:
        """A summary as text: images, objects, classes, splits, and the problems (`shown` of each kind)."""
        return summary(self, shown)

    @checked_arguments
    def filter(
        self,
        *,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] = (),
        difficult: bool = True,
        truncated: bool = True,
        crowd: bool = True,
        empty: bool = True,
        where: Callable[[Annotation], object] | None = None,
    ) -> "Dataset":
        """The images and objects that pass every test.

        The classes stay, so that class ids keep their meaning; `with_classes` removes classes.

        Args:
            include: classes to keep, a name or several; None for all.
            exclude: classes to leave out.
            difficult, truncated, crowd: False leaves out objects with that mark.
            empty: False leaves out images without objects, of which the other tests may make more.
            where: function of an annotation: True for images to keep.

        Raises:
            ValueError: a class that is not there.

        Example:
            >>> people = data.filter(include="person", difficult=False, empty=False)
        """
        wanted = set(class_ids_of(self.classes if include is None else include, self.classes))
        wanted -= set(class_ids_of(exclude, self.classes))
        wanted = np.array(sorted(wanted), int)
        barred = [
            name for name, kept in (("difficult", difficult), ("truncated", truncated), ("crowd", crowd)) if not kept
        ]
        kept = []
        for annotation in self.annotations:
            keep = np.isin(annotation.class_ids, wanted)
            for name in barred:
                keep &= ~getattr(annotation, name)
            annotation = annotation if keep.all() else annotation[keep]
            if (empty or len(annotation)) and (where is None or where(annotation)):
                kept.append(annotation)
        return dataclasses.replace(self, annotations=kept)

    @checked_arguments
    def with_classes(
        self, classes: Sequence[str], class_map: Mapping[str, str] | None = None, *, others: str = "error"
    ) -> "Dataset":
        """The same objects with other classes: reordered, renamed, joined or left out.

        Args:
            classes: the new names, in the new order. They may include classes without objects here.
            class_map: dictionary from old names to new ones; other names stay.
            others: "error" or "drop" for objects whose class is not among the new ones.

        Raises:
            ValueError: an object has none of the new classes and `others` is "error", or `class_map` names an unknown
                class.

        Example:
            >>> data.with_classes(["person", "vehicle"], {"car": "vehicle", "bus": "vehicle"}, others="drop")
        """
        classes = check_class_names("classes", classes)
        if others not in ("error", "drop"):
            raise ValueError(f"others must be 'error' or 'drop'. Received: others={others!r}")
        class_map = dict(class_map or {})
        class_ids_of(class_map, self.classes)
        class_ids_of(class_map.values(), classes)
        places = {name: place for place, name in enumerate(classes)}
        table = np.array([places.get(class_map.get(name, name), -1) for name in self.classes])
        lost = [name for name, count in self.counts().items() if count and table[self.classes.index(name)] < 0]
        if lost and others == "error":
            raise ValueError(
                f"{self.name} has objects of {', '.join(lost)}, which the new classes {', '.join(classes)} do not "
                "hold. Say with class_map what becomes of them, or pass others='drop'."
            )
        kept = []
        for annotation in self.annotations:
            ids = table[annotation.class_ids]
            annotation = dataclasses.replace(annotation, class_ids=np.maximum(ids, 0))
            kept.append(annotation if (ids >= 0).all() else annotation[ids >= 0])
        same = classes == self.classes
        return dataclasses.replace(
            self, classes=classes, annotations=kept, category_ids=self.category_ids if same else None
        )

    @checked_arguments
    def sample(self, count: int, seed: int = 0) -> "Dataset":
        """A random choice of images, in their order; the same for the same seed.

        Raises:
            ValueError: more than there are.
        """
        if not 0 <= count <= len(self):
            raise ValueError(f"{self.name} has {len(self)} images. Received: count={count}")
        return self[sorted(np.random.default_rng(seed).permutation(len(self))[:count])]

    @checked_arguments
    def split(
        self, *fractions: float, seed: int = 0, group: Callable[[Annotation], Any] | None = None
    ) -> tuple["Dataset", ...]:
        """Splits it at random into parts without common images; the same for the same seed.

        Args:
            fractions: share of each part. If their sum is below 1, the rest is another part.
            seed: of the random order.
            group: function of an annotation; images with the same result (the patient, the film) stay together, since a
                test on images like those of training is worthless.

        Returns:
            Tuple of datasets.

        Raises:
            ValueError: shares that are not positive or exceed 1.

        Example:
            >>> train, val, test = data.split(0.7, 0.15, seed=1)
        """
        if not fractions or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
            raise ValueError(f"fractions must be positive and at most 1 in all. Received: fractions={fractions}")
        keys = [group(annotation) if group else place for place, annotation in enumerate(self.annotations)]
        shares = [*fractions, 1 - sum(fractions)] if sum(fractions) < 1 - 1e-9 else list(fractions)
        return tuple(self[places] for places in random_parts(keys, shares, seed))

    @checked_arguments
    def merge(
        self, *others: "Dataset", class_map: Mapping[str, str] | None = None, name: str | None = None
    ) -> "Dataset":
        """Joins several datasets to one.

        Classes of the same name are one class; an image whose name is taken gets its dataset's name as a prefix.

        Args:
            others: datasets.
            class_map: dictionary from names to their replacements: {"automobile": "car"}.
            name: of the result; by default the names joined by "+".

        Raises:
            ValueError: `class_map` names a class that none of them has, or one image file is in two of them.

        Example:
            >>> both = voc.merge(coco, class_map={"aeroplane": "airplane", "tvmonitor": "tv"})
        """
        every = (self, *others)
        class_map = dict(class_map or {})
        known = list(dict.fromkeys(old for part in every for old in part.classes))
        class_ids_of(class_map, known)
        classes = tuple(dict.fromkeys(class_map.get(old, old) for old in known))
        joined, merged = Joined(), []
        for part in every:
            own = {old: new for old, new in class_map.items() if old in part.classes}
            for annotation in part.with_classes(classes, own):
                merged.append(dataclasses.replace(annotation, name=joined.name(annotation, part.name)))
        formats = {part.format for part in every}
        return Dataset(
            name or "+".join(part.name for part in every),
            classes,
            merged,
            formats.pop() if len(formats) == 1 else "",
            Problems(problem for part in every for problem in part.problems),
            policy=min((part.policy for part in every), key=("error", "clip", "drop").index),
        )
