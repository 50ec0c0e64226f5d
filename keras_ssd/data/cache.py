"""Images decoded once, into one file that is mapped into memory: for slow disks and large images."""

import dataclasses
import functools
import hashlib
import json
import math
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.problems import DataError, Problem, Problems
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.sample import Sample
from keras_ssd.data.unreadable import ADVICE, Unreadable
from keras_ssd.data.whole import stamp
from keras_ssd.images import resize_bilinear
from keras_ssd.replacing import naming_full_disks

FORMAT_VERSION = 2
_PIXELS, _INDEX = "images.npy", "index.json"


@dataclasses.dataclass(frozen=True)
class CachedImage:
    """An image in a cache; it is read from the disk when its pixels are asked for.

    It travels between processes as its place in the file, not as pixels.

    Args:
        path: of the file of all pixels.
        start: where the image begins in it, in bytes of pixels.
        shape: (height, width, 3).
    """

    path: str
    start: int
    shape: tuple[int, int, int]

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)
    ndim: ClassVar[int] = 3

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        pixels = _mapped(self.path, os.stat(self.path).st_mtime_ns)[self.start : self.start + math.prod(self.shape)]
        return np.array(pixels, dtype=dtype).reshape(self.shape)


@functools.lru_cache(maxsize=8)
def _mapped(path, modified):
    return np.load(path, mmap_mode="r")


@checked_arguments
def cached(
    data: Dataset, folder: str | os.PathLike[str], size_hw: tuple[int, int] | None = None, *, progress: bool = False
) -> Dataset:
    """The same dataset with its images in a cache, which is made if it is missing or out of date.

    Images are stored as pixels: 300 x 300 take 270 KB each. It pays where decoding or the disk is slower than
    that, and where `size_hw` makes large images small.

    Args:
        data: a `Dataset`.
        folder: of the cache. A folder that is no cache is refused.
        size_hw: (height, width) that images are resized to, as `keras_ssd.images.resize_bilinear` does it, and
            boxes with them; None keeps each image's own size.
        progress: whether to show a progress bar on a terminal.

    Returns:
        A `Dataset` of the same names, classes and objects. Images that cannot be read are not in it where `data` were
        read under the policy "drop" or "clip"; its `problems` name them.

    Raises:
        ValueError: `folder` holds something else.
        DataError: images cannot be read and the policy of `data` is "error"; it names all of them.
        OSError: the disk is full; nothing is left behind.

    Example:
        >>> train = keras_ssd.data.cached(train, "cache/train", size_hw=(512, 512))
    """
    folder = Path(folder)
    if size_hw is not None:
        if len(size_hw) != 2 or min(size_hw) < 1:
            raise ValueError(f"size_hw must be (height, width) in pixels. Received: size_hw={size_hw}")
        size_hw = (int(size_hw[0]), int(size_hw[1]))
    if folder.exists() and not (folder / _INDEX).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not a cache folder. Name another folder.")
    key = _key(data, size_hw)
    index = _index(folder)
    if index is None or index.get("key") != key:
        _build(data, folder, size_hw, key, progress)
        index = _index(folder)
    return _opened(data, folder, index)


def _key(data, size_hw):
    """What the pixels depend on: which images in which order, their files' sizes and times, and the size wanted."""
    digest = hashlib.blake2b(json.dumps([FORMAT_VERSION, size_hw]).encode())
    for annotation in data:
        digest.update(f"\0{annotation.name}\0".encode())
        if isinstance(annotation.image, str):
            size, modified = stamp(annotation.image)
            digest.update(f"{os.path.abspath(annotation.image)}\0{size}\0{modified}".encode())
        else:
            digest.update(np.ascontiguousarray(annotation.image).tobytes())
    return digest.hexdigest()


def _index(folder):
    """What the cache says of itself; None if it is missing or broken."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        return index if index["bytes"] == os.path.getsize(folder / _PIXELS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(data, folder, size_hw, key, progress):
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with naming_full_disks(folder):
            part.mkdir()
            shapes, left_out = _write_pixels(data, part / _PIXELS, size_hw, progress)
            index = {"key": key, "shapes": shapes, "left_out": left_out, "bytes": os.path.getsize(part / _PIXELS)}
            (part / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        if folder.exists():
            os.replace(folder, part.with_suffix(".old"))
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(part.with_suffix(".old"), ignore_errors=True)


def _write_pixels(data, path, size_hw, progress):
    """Writes the pixels of all images behind each other.

    Returns:
        Their (height, width), None for one that cannot be read, and a `Problem` as a dictionary for each of those.
    """
    shapes, total, unreadable = [], 0, Unreadable(data)
    work = functools.partial(_image, size_hw=size_hw)
    with open(path, "wb") as file, worked_ahead(work, data, "caching images", progress) as images:
        file.write(_header(0))
        for place, (_, future) in enumerate(images):
            try:
                image = future.result()
            except (ValueError, OSError) as error:
                unreadable.note(place, error)
                shapes.append(None)
                continue
            shapes.append(list(image.shape[:2]))
            file.write(np.ascontiguousarray(image).data)
            total += image.size
        file.seek(0)
        file.write(_header(total))
        file.flush()
        os.fsync(file.fileno())
    return shapes, unreadable.problems.to_list()


def _header(count):
    """The head of an .npy file of `count` bytes, always of the same length, since the count is known last."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"


def _image(annotation, size_hw):
    image = Sample.of(annotation).image  # checks the size that the annotation states
    return image if size_hw is None else resize_bilinear(image, size_hw)


def _opened(data, folder, index):
    annotations, start = [], 0
    path = str(folder / _PIXELS)
    left_out = Problems(Problem(**problem) for problem in index["left_out"])
    if left_out and data.policy == "error":
        raise DataError(left_out, ADVICE)
    for annotation, shape in zip(data, index["shapes"], strict=True):
        if shape is None:
            continue
        height, width = shape
        image = CachedImage(path, start, (height, width, 3))
        start += height * width * 3
        annotations.append(_scaled(annotation, image))
    return dataclasses.replace(data, annotations=annotations, problems=(*data.problems, *left_out))


def _scaled(annotation, image):
    """The annotation in the pixels of the cached image."""
    height, width, _ = image.shape
    old = annotation.size_hw or (height, width)
    if old == (height, width):
        return dataclasses.replace(annotation, image=image, size_hw=old)
    factors = np.array([width / old[1], height / old[0]] * 2)
    boxes = (annotation.boxes_xyxy * factors).astype(np.float32)
    areas = annotation.areas * (factors[0] * factors[1])
    return dataclasses.replace(annotation, image=image, size_hw=(height, width), boxes_xyxy=boxes, areas=areas)
