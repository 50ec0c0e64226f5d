"""What tests of downloads share: a server, a home of their own, and weights to download."""

import hashlib
import io

import h5py
import numpy as np
import pytest
from download_server import Server

from keras_ssd import zoo
from keras_ssd.zoo import cache
from keras_ssd.zoo.catalog import Source, WeightSet
from keras_ssd.zoo.errors import DownloadError
from keras_ssd.zoo.fetch import Policy

FAST = Policy(connect_timeout=2, read_timeout=0.4, attempts=3, worthwhile=1 << 20, backoff=0.0, max_wait=0.3, chunk=512)


def h5_bytes(seed=0, count=10_000):
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["conv1_1/conv1_1/kernel:0"] = np.random.default_rng(seed).random(count, dtype="float32")
    return memory.getvalue()


BODY = h5_bytes()
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def source(url, file="w.h5", form="ssd_keras_h5", **more):
    return Source(form, url, file, **more)


def weights(*sources):
    return WeightSet("ssd300", "test", sources)


def get(*sources, policy=FAST, **more):
    return zoo.download(weights(*sources), policy=policy, **more)


def left():
    """The files in the cache that a user would take for weights."""
    folder = cache.cache_folder()
    return sorted(p.name for p in folder.glob("*") if p.suffix in (".h5", ".npz", ".caffemodel"))


def fails(*sources, policy=FAST, **more):
    """The message of a download that must fail and leave nothing under a final name."""
    with pytest.raises(DownloadError) as caught:
        get(*sources, policy=policy, **more)
    assert left() == []
    return str(caught.value)
