"""Annotation files changed at random: each object is read or named, and nothing but one clear error is raised.

The full count runs in benchmarks/annotation_mutations.py.
"""

import annotation_mutations as mutations
import pytest


@pytest.mark.parametrize("format", mutations.FORMATS)
def test_rejects_or_reads_changed_files(tmp_path, format):
    counts, wrong, slowest = mutations.run(format, tmp_path, 150, seed=7)
    assert wrong == []
    assert sum(counts.values()) == 150
    assert min(counts["read"], counts["named"]) > 5
    assert slowest < 5


def test_values_a_lost_object_shows(tmp_path, monkeypatch):
    """The account itself: a reader that forgets a line is found out."""
    from keras_ssd.data.formats import yolo

    real = yolo._add_object
    monkeypatch.setattr(
        yolo, "_add_object", lambda record, words, number, options: number != 2 and real(record, words, number, options)
    )
    _, wrong, _ = mutations.run("yolo", tmp_path, 20)
    assert any("lines [2] are neither read nor named" in what for _, what, _ in wrong)
