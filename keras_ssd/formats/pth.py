"""Reads PyTorch's `.pth` and `.pt` files without PyTorch: only tensors and plain data, and no code."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from keras_ssd.formats.named_arrays import Budget, WeightFileError, as_float32
from keras_ssd.formats.pickles import PickleError
from keras_ssd.formats.pth_storages import LegacyStorages, Tensor, ZipStorages

# Keys under which checkpoints of training programs keep the weights of the model.
PLACES = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
ADVICE = "Where PyTorch is installed and you trust the file: torch.save(model.state_dict(), 'weights.pth')."


@dataclass(frozen=True, eq=False)
class StateDict(Mapping[str, np.ndarray]):
    """The tensors of a file by name, read on access: floats as float32, others unchanged.

    Args:
        path: the file.
        tensors: {name: `Tensor`}.
        storages: where their numbers are.
        class_names: classes without background that the file names, or None.
    """

    path: Path
    tensors: dict[str, Tensor]
    storages: ZipStorages | LegacyStorages
    class_names: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self.tensors[name]
        array = tensor.of(self.storages.numbers(tensor.storage))
        return as_float32(self.path, name, array) if array.dtype.kind == "f" else array


def read_state_dict(path: str | PathLike[str]) -> StateDict:
    """The tensors of a `.pth` or `.pt` file.

    A file of `torch.save(model.state_dict(), path)`, or a checkpoint that keeps such a dictionary under a usual name
    (`state_dict`, `model`, ...) beside plain data. The prefix `module.` of parallel training is taken off.

    Raises:
        WeightFileError: the file is damaged, holds code or whole models, or no state dict.

    Example:
        >>> read_state_dict("ssd300_vgg16_coco-b556d3b4.pth")["backbone.features.0.weight"].shape
        (64, 3, 3, 3)
    """
    path = Path(path)
    try:
        storages = ZipStorages(path) if zipfile.is_zipfile(path) else LegacyStorages(path)
        tensors, names = _state_dict(storages.value)
        _check_budget(path, tensors)
    except PickleError as error:
        raise WeightFileError(f"{path} is a PyTorch file that is not read: {error}. {ADVICE}") from error
    return StateDict(path, tensors, storages, names)


def _check_budget(path, tensors):
    budget = Budget(path)
    for name, tensor in tensors.items():
        budget.spend(name, tensor.shape, np.dtype("f4"))


def _state_dict(value):
    """({name: Tensor}, class names or None) out of what a file holds."""
    if not isinstance(value, dict):
        raise PickleError(f"it holds a {type(value).__name__.lower()}, not a dictionary of tensors")
    found = value if _is_state_dict(value) else None
    for place in PLACES if found is None else ():
        if _is_state_dict(value.get(place)):
            found = value[place]
            break
    if found is None:
        keys = ", ".join(str(key)[:40] for key in list(value)[:8])
        raise PickleError(
            f"it holds no dictionary of tensors, neither itself nor under {', '.join(PLACES)}; keys: {keys}"
        )
    if all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found, _class_names(value)


def _is_state_dict(value):
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _class_names(value):
    """The class names in MMDetection's files, or None."""
    meta = value.get("meta")
    for place, key in ((meta, "CLASSES"), (isinstance(meta, dict) and meta.get("dataset_meta"), "classes")):
        names = place.get(key) if isinstance(place, dict) else None
        if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
