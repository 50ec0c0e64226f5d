"""The examples that measure detectors."""

import re

import numpy as np
import pytest
from example_scripts import run, script

from keras_ssd.evaluation import Curve, read_detections


def test_values_evaluate_any_detector(tmp_path, capsys):
    path = tmp_path / "cells.csv"
    assert run("evaluate_any_detector", "--images", 12, "--save", path) == 0
    said = capsys.readouterr().out
    [(objects, value)] = re.findall(r"^  WBC +(\d+) +\d+ +([\d.]+)$", said, re.MULTILINE)
    assert objects == "6"
    assert float(value) > 0.8
    example = script("evaluate_any_detector")
    found = read_detections(path, example.smears(12))
    assert sorted({found.images[place] for place in found.image})[0] == "smear 1"
    assert len(example.find_white_cells(np.full((20, 20, 3), 255, np.uint8))[1]) == 0


@pytest.mark.slow
def test_values_evaluate(shared, tmp_path, capsys):
    options = ("--weights", "ssd_small.cells", "--split", "test", "--policy", "drop", "--save", tmp_path / "d.json")
    assert run("evaluate", shared("data", "bccd"), *options) == 0
    said = capsys.readouterr().out
    assert re.search(r"mean of 3 classes +945 +\d+ +0\.9\d\d$", said, re.MULTILINE)
    [(score, right, found)] = re.findall(
        r"^  WBC: from 0\.(\d\d) on (\d+)% are right, and (\d+)% of all", said, re.MULTILINE
    )
    assert int(score) > 10
    assert min(int(right), int(found)) > 90
    assert (tmp_path / "d.json").exists()


def test_values_the_best_cut():
    cut = script("evaluate").best_cut
    curve = Curve(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3]), np.array([0.9, 0.6, 0.3]))
    assert cut(curve) == (0.3, 2 / 3, 1.0)
    assert cut(Curve(np.zeros(0), np.zeros(0), np.zeros(0))) is None
