"""YAML of strangers: what values it gives, and what it refuses before memory is spent."""

import time
import tracemalloc

import pytest

from keras_ssd.data.formats.yaml import MAX_TEXT, YamlError, quoted, read_yaml


def test_values_yaml():
    text = "---\na: 'it''s' # c\nnames:\n  0: cat\n  1: 'dog: big'\n"
    text += 'list:\n- x\n- "y"\ncode: |\n  import os\nz: [a,\n  b]\n'
    assert read_yaml(text) == {
        "a": "it's",
        "names": {"0": "cat", "1": "dog: big"},
        "list": ["x", "y"],
        "code": "import os\n",
        "z": ["a", "b"],
    }
    assert read_yaml("# nothing\n") == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[men's shoe, women's shoe]", ["men's shoe", "women's shoe"]),
        ('["caf\\u00e9", "a\\"b", "tab\\there"]', ["café", 'a"b', "tab\there"]),
        ("[no, 1.0, 007, on, 2001-13-45, 1e3]", ["no", "1.0", "007", "on", "2001-13-45", "1e3"]),
        ("[  'nut',  # small\n  'bolt',\n  ]", ["nut", "bolt"]),
        ("&all [a, b]\nothers: *all", ["a", "b"]),
        ("['#1', 'a: b', '']", ["#1", "a: b", ""]),
        ("[~, null, ]", [None, None]),
        ("[{a: [b, {c: d}]}]", [{"a": ["b", {"c": "d"}]}]),
    ],
)
def test_values_yaml_texts_stay_texts(names, expected):
    assert read_yaml(f"names: {names}\n")["names"] == expected


def test_roundtrip_quoted():
    for text in ("it's", "no", "#1", "a: b", "'", "\\n", "é"):
        assert read_yaml(f"name: {quoted(text)}") == {"name": text}


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' occurs twice", 3),
        ("names: {0: a, 0: b}", "the key '0' occurs twice", 1),
        ("a: b\nnonsense\n", "could not find expected ':'", 3),
        ("- a\n- b\n", "expected `key: value`", 1),
        ("a: [b\n", "did not find expected ',' or ']'", 2),
        ("a: !!python/object/apply:os.system ['x']", "builds objects of the kind", 1),
        ("a:\n  - !!timestamp x", "builds objects of the kind", 2),
        ("? [a]\n: b", "unhashable key", 1),
        ("--- a\n--- b\n", "single document", 2),
        ("a: &a [*a]", "without end|no end", 1),
        ("a: *b", "undefined alias", 1),
        ("a: " + "[" * 40 + "]" * 40, "nests deeper than 32", 1),
        ("[" * 20_000, "nest", 1),
        ("a: \0", "control characters", 0),
        ("a:\n\t- b", "cannot start any token", 2),
    ],
)
def test_rejects_yaml(text, what, line):
    with pytest.raises(YamlError, match=what) as error:
        read_yaml(text)
    assert error.value.line == line


def test_rejects_yaml_bombs_before_they_unfold():
    values = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    tables = "a0: &a0 {k: v}\n"
    for level in range(1, 12):
        nine = ",".join([f"*a{level - 1}"] * 9)
        values += f"a{level}: &a{level} [{nine}]\n"
        tables += f"a{level}: &a{level}\n  <<: [{nine}]\n"
    for text in (values, tables, f"a: [{'x,' * 400_000}x]", "a" * (MAX_TEXT + 1)):
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(YamlError, match="unfolds to more than 100,000 values|larger than 4 MiB"):
            read_yaml(text)
        assert time.perf_counter() - began < 5
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        tracemalloc.stop()
