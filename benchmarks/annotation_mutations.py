"""Reads annotation files that were changed at random: python benchmarks/annotation_mutations.py [--count 2500]

Every object must be read, or named as a problem; a reader may raise one clear error and nothing else. The exit code
is 1 otherwise.
"""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import annotation_mutations as mutations


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2500, help="files a format (default: 2500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=mutations.FORMATS, action="append", help="only this one; may be repeated")
    parser.add_argument("--shown", type=int, default=5, help="failures that are printed (default: 5)")
    args = parser.parse_args()
    warnings.simplefilter("error")
    failed = 0
    for format in args.format or mutations.FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "warm").mkdir()
            (Path(folder) / "full").mkdir()
            mutations.run(format, Path(folder) / "warm", 20)
            before, began = _peak(), time.perf_counter()
            counts, wrong, slowest = mutations.run(format, Path(folder) / "full", args.count, args.seed)
        seconds = time.perf_counter() - began
        print(
            f"{format}: {args.count} files in {seconds:.0f} s, slowest {slowest * 1000:.0f} ms, {counts}, "
            f"{len(wrong)} wrong, peak memory {before:.0f} -> {_peak():.0f} MiB"
        )
        for number, what, files in wrong[: args.shown]:
            print(f"  {number}: {what}\n    {files}")
        failed += len(wrong)
    return 1 if failed else 0


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
