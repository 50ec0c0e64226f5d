"""`examine`: a model and some images -> a diagnosis."""

from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.doctor.checks import CHECKS
from keras_ssd.doctor.findings import FAULT, Diagnosis, Finding
from keras_ssd.doctor.probe import Probe
from keras_ssd.images import expand_sources, read_image
from keras_ssd.models import SSD
from keras_ssd.names import unknown_name

MOST = 32  # images that are looked at


@checked_arguments
def examine(model: SSD, images: Any = ()) -> Diagnosis:
    """Finds out why a detector finds nothing, or nothing right.

    The checks run on the model itself: they feed it in other ways, decode it in other ways, and compare the answers.
    They cover colour order and mean, class names and heads, anchors and weights, scores below the threshold, dead
    heads, sizes of images, and the backend's arithmetic. With annotated images they compare average precision. With
    plain images they compare how sure the model is, and cannot judge class names and anchor sizes.

    Args:
        model: `SSD`.
        images: a `keras_ssd.data.Dataset`, or sources as `detect` takes them; the first 32 are used. Some checks need
            no images.

    Returns:
        `Diagnosis`; print it.

    Raises:
        TypeError: not an `SSD`.
        ImageError: an image that cannot be read.

    Example:
        >>> print(keras_ssd.doctor.examine(model, keras_ssd.data.read("photos")))
    """
    if not isinstance(model, SSD):
        raise TypeError(
            f"`model` must be a keras_ssd model, which knows its anchors and classes. Received: {type(model).__name__}"
        )
    arrays, truth, trouble = _taken(model, images)
    probe = Probe(model, arrays, truth)
    kind = "annotated images" if truth is not None else "images" if arrays else "made-up images"
    height, width = model.input_size
    about = f"{model.name}: {len(model.class_names)} classes, {height}x{width}, {len(probe.inputs)} {kind}"
    findings = list(trouble)
    for check in CHECKS:
        findings.append(check(probe))
        if findings[-1].level == FAULT and not np.isfinite(probe.raw).all():
            break  # nothing can be said of answers that are no numbers
    return Diagnosis(tuple(findings), about)


def _taken(model, images):
    """(arrays, annotations with the model's class ids or None, findings about the classes of the data)."""
    if not hasattr(images, "annotations"):
        sources = expand_sources(images) if not (isinstance(images, (list, tuple)) and not images) else ()
        some = [source for source, _ in zip(sources, range(MOST), strict=False)]
        return [read_image(source.image, name=source.name) for source in some], None, ()
    some = _with_objects(images)[:MOST]
    arrays = [read_image(annotation.image, name=annotation.name) for annotation in some]
    unknown = [name for name in images.classes if name not in model.class_names]
    if unknown:
        text = f"the images are marked with classes that the model does not have: {', '.join(unknown)}. "
        text += unknown_name("class", unknown[0], model.class_names)
        advice = "Give both the same names: with_classes of the dataset maps names, model.class_names renames them."
        return arrays, None, (Finding("classes", FAULT, text, advice),)
    return arrays, list(some.with_classes(model.class_names)), ()


def _with_objects(dataset):
    """The dataset with its images without objects last."""
    empty = np.array([not len(annotation) for annotation in dataset], bool)
    return dataset[np.argsort(empty, kind="stable")]
