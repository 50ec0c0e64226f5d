"""What every test shares: where the reference material lies, and how to skip without it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_ssd as keras_ssd  # first of all: it chooses an installed backend before a test imports Keras

pytest.register_assert_rewrite("downloading")  # fixtures of its own, and imported before they are known as such

sys.path.insert(0, str(Path(__file__).parent))  # the tests' own helper modules

REFERENCE = Path(__file__).parent / "reference"
SHARED = Path(os.environ.get("KERAS_SSD_SHARED", Path(__file__).parents[1] / ".." / "shared")).resolve()


def shared_path(*parts):
    """A path in the shared folder; without the folder the test skips, and fails in CI."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        message = f"{path} is missing; KERAS_SSD_SHARED names the folder of reference material"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def load_oracle(*parts):
    """The arrays of one reference file: from tests/reference if it is there, else from the shared folder."""
    local = REFERENCE.joinpath(*parts)
    path = local if local.exists() else shared_path("oracle", *parts)
    with np.load(path) as data:
        return {key: data[key] for key in data.files}


@pytest.fixture
def shared():
    return shared_path


@pytest.fixture
def oracle():
    return load_oracle
