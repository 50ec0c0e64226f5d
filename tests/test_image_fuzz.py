"""Damaged images of six kinds: each is read, or named in an error, alike by both readers and by `detect`."""

import importlib.util
import warnings
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("image_fuzz", Path(__file__).parents[1] / "benchmarks" / "image_fuzz.py")
image_fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(image_fuzz)


@pytest.mark.filterwarnings("ignore")
def test_values_every_damaged_image_is_read_or_named(tmp_path):
    paths = image_fuzz.write_files(tmp_path, 300, seed=1)
    outcomes = [image_fuzz.outcome(path) for path in paths]
    read = sum(shape is not None for shape, _ in outcomes)
    assert 60 < read < 260
    assert max(seconds for _, seconds in outcomes) < 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert image_fuzz.detected(tmp_path, len(paths)) == (read, len(paths) - read)
