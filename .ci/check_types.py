#!/usr/bin/env python
"""Checks the package's types: pyright finds no error, and at least 95 % of what is public has a known type.

Run it with the Python of the environment that has the "dev" extra: python .ci/check_types.py
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

LEAST = 0.95
ROOT = Path(__file__).resolve().parent.parent


def python(*arguments, **options):
    return subprocess.run([sys.executable, "-m", *arguments], text=True, **options)


def completeness(folder):
    """Pyright's account of the public names of an installed wheel; an editable install hides the marker py.typed."""
    python("build", "--wheel", "--no-isolation", "-o", folder, str(ROOT), check=True, stdout=subprocess.PIPE)
    (wheel,) = Path(folder).glob("*.whl")
    site = Path(folder, "site")
    python("pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel), check=True)
    told = python(
        *("pyright", "--pythonpath", sys.executable, "--verifytypes", "keras_ssd", "--ignoreexternal", "--outputjson"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
    )
    return json.loads(told.stdout)["typeCompleteness"]


def main():
    checked = python("pyright", "--pythonpath", sys.executable, cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        told = completeness(folder)
    unknown = [symbol["name"] for symbol in told["symbols"] if symbol["isExported"] and not symbol["isTypeKnown"]]
    if "--list" in sys.argv:
        print(*unknown, sep="\n")
    print("Public names without a known type:", dict(Counter(name.split(".")[1] for name in unknown).most_common()))
    print(f"Completeness: {told['completenessScore']:.1%} (at least {LEAST:.0%})")
    return int(checked.returncode != 0 or told["completenessScore"] < LEAST)


if __name__ == "__main__":
    raise SystemExit(main())
