"""The state of a training in one file, replaced as a whole: what `resume` goes on from."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_ssd.formats import written_hdf5
from keras_ssd.replacing import replacing as temporary_beside

NAME = "checkpoint.h5"
VERSION = 1


def replacing(path: str | os.PathLike[str]) -> Any:
    """See `keras_ssd.replacing`; of one temporary name, so that what a killed training left is written over."""
    return temporary_beside(path, "part")


def save(path: str | os.PathLike[str], model: keras.Model, facts: dict[str, Any]) -> None:
    """Writes weights, optimizer and random states, and facts beside them.

    Args:
        path: the file; it holds the old state or the new one at any moment.
        model: a compiled `keras.Model` whose optimizer is built.
        facts: dictionary for JSON.
    """
    with replacing(path) as temporary:
        with written_hdf5(temporary) as file:
            file.attrs["version"] = VERSION
            file["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
            for group, variables in _variables(model).items():
                for place, variable in enumerate(variables):
                    dataset = file.create_dataset(f"{group}/{place:05}", data=_array(variable))
                    dataset.attrs["path"] = variable.path
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The facts of a checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is no checkpoint.
    """
    with _opened(path) as file:
        return _facts(path, file)


def load(path: str | os.PathLike[str], model: keras.Model) -> dict[str, Any]:
    """Restores what `save` wrote into a model and an optimizer of the same making; returns the facts.

    Raises:
        ValueError: the file is no checkpoint, or of another model or optimizer; nothing was changed.
    """
    with _opened(path) as file:
        facts = _facts(path, file)
        found = {}
        for group, variables in _variables(model).items():
            stored = file.get(group, {})
            if len(stored) != len(variables):
                raise ValueError(
                    f"{path} holds {len(stored)} arrays of the {group}, and this {group} has {len(variables)}. "
                    "It belongs to another training: use the same model and recipe, or another folder."
                )
            for place, variable in enumerate(variables):
                array = stored[f"{place:05}"][()]
                if array.shape != tuple(variable.shape):
                    raise ValueError(
                        f"{path} holds {stored[f'{place:05}'].attrs['path']} of shape {array.shape}, and this {group} "
                        f"has {variable.path} of shape {tuple(variable.shape)} in its place. It belongs to another "
                        "training: use the same model and recipe, or another folder."
                    )
                found[group, place] = array
    for group, variables in _variables(model).items():
        for place, variable in enumerate(variables):
            variable.assign(found[group, place])
    return facts


def _opened(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path} to go on from.")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from None


def _facts(path, file):
    if file.attrs.get("version") != VERSION or "facts" not in file:
        raise ValueError(f"{path} is no checkpoint of this version. Start anew in another folder.")
    return json.loads(file["facts"][()].tobytes())


def _variables(model):
    # `variables` has the states of random generators too, as those of Dropout.
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _array(variable):
    return keras.ops.convert_to_numpy(variable)
