"""Compares the sizes that annotations state with the images, before long work begins."""

from collections.abc import Iterable

from keras_ssd.data.annotation import Annotation
from keras_ssd.data.image_files import image_size
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.sample import ImageSizeError
from keras_ssd.images import ImageError

_SHOWN = 5


def check_sizes(dataset: Iterable[Annotation], progress: bool = False) -> None:
    """Refuses images whose size differs from their annotation, as `Sample.of` does for one image.

    Images that are missing or cannot be read pass: reading them raises the error.

    Raises:
        ValueError: with the first of them, and their number.
    """
    told = [annotation for annotation in dataset if annotation.size_hw is not None]
    wrong = []
    with worked_ahead(_size, told, "reading image sizes", progress) as sizes:
        for annotation, future in sizes:
            size_hw = future.result()
            if size_hw not in (None, annotation.size_hw):
                wrong.append(str(ImageSizeError(annotation, size_hw)))
    if wrong:
        more = [f"... and {len(wrong) - _SHOWN} more of another size than is stated"] if len(wrong) > _SHOWN else []
        raise ValueError("\n".join([*wrong[:_SHOWN], *more]))


def _size(annotation):
    if not isinstance(annotation.image, str):
        shape = getattr(annotation.image, "shape", None)
        return None if shape is None else tuple(shape[:2])
    try:
        return image_size(annotation.image)
    except (ImageError, OSError):
        return None
