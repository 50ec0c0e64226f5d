"""What every test shares: where the reference material lies, which tests are quick, what JAX has compiled."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

# JAX compiles every operation of every shape, which is most of what its tests take. What one process has compiled is
# there for the others and for the next run; delete the folder at will. It must be known before JAX is imported.
if os.access(ROOT, os.W_OK):
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Tests of detecting are tests of Keras on each backend; tests/test_engines*.py name the engines that they mean.
os.environ["KERAS_SSD_ENGINE"] = "keras"

# Several test processes share the processors already. PyTorch's threads would wait for each other beside them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras_ssd as keras_ssd  # noqa: E402 (it chooses an installed backend before a test imports Keras)

pytest.register_assert_rewrite("downloading")  # fixtures of its own, and imported before they are known as such

sys.path.insert(0, str(Path(__file__).parent))  # the tests' own helper modules

REFERENCE = Path(__file__).parent / "reference"
SHARED = Path(os.environ.get("KERAS_SSD_SHARED", ROOT / ".." / "shared")).resolve()


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


@pytest.fixture
def noise():
    """A random image, (37, 53, 3) uint8."""
    return np.random.default_rng(7).integers(0, 256, (37, 53, 3), np.uint8)


@pytest.fixture(scope="session")
def furnished_once(tmp_path_factory):
    from training_toys import furnished

    return furnished(tmp_path_factory.mktemp("furnished"))


@pytest.fixture
def training_folder(furnished_once, tmp_path, monkeypatch):
    """The working folder: a copy of VOC data of two splits, `data`, and of a small model, `toy.keras`."""
    import keras

    shutil.copytree(furnished_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    return tmp_path


def quick_names():
    """Files of tests, or single tests of them as `file::test`, that `tests/quick.txt` lists."""
    lines = (Path(__file__).parent / "quick.txt").read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def pytest_collection_modifyitems(items):
    """Marks the tests of `tests/quick.txt` as quick, those that are marked slow excepted."""
    names = quick_names()
    for item in items:
        one = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        if (item.path.name in names or one in names) and item.get_closest_marker("slow") is None:
            item.add_marker("quick")
