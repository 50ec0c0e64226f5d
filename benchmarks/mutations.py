"""Changes a module in small ways, one at a time, and runs its tests: what no test notices shows what they miss.

    python benchmarks/mutations.py keras_ssd/boxes.py tests/test_boxes_coding.py
    python benchmarks/mutations.py keras_ssd/matching/arrays.py tests/test_matching.py --limit 30 --seed 1

Comparisons turn round, + becomes -, * becomes /, numbers grow by one, `and` becomes `or`, conditions become their
opposite, and what is returned becomes None. The module is changed in a copy of the package, never in place.
Survivors are printed with their line: look whether a test is missing, or whether the change means the same.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def changed(node):
    """What this node is turned into, or None if it is left as it is."""
    found = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        found.ops[0] = COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        found.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        found.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        found.value = node.value + 1
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        found.test = ast.UnaryOp(ast.Not(), found.test)
    elif isinstance(node, ast.Return) and node.value is not None:
        found.value = ast.Constant(None)
    else:
        return None
    return ast.fix_missing_locations(found)


class Replace(ast.NodeTransformer):
    """Puts one node in the place of another, which is found by its number in the order of `ast.walk`."""

    def __init__(self, target, new):
        self.target, self.new = target, new

    def visit(self, node):
        return self.new if node is self.target else self.generic_visit(node)


def mutants(source):
    """(line, before, after, changed source) of each change."""
    for number, node in enumerate(ast.walk(ast.parse(source))):
        new = changed(node)
        if new is not None:
            tree = ast.parse(source)
            target = list(ast.walk(tree))[number]
            yield node.lineno, _short(node), _short(new), ast.unparse(Replace(target, new).visit(tree))


def _short(node):
    return ast.unparse(node).splitlines()[0][:70]


def passes(folder, tests, timeout):
    """Whether the tests pass with the package that lies in a folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+", help="what pytest is given")
    parser.add_argument("--limit", type=int, help="how many changes to try, drawn at random; all by default")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    place = args.module.resolve().relative_to(ROOT)
    found = list(mutants((ROOT / place).read_text(encoding="utf-8")))
    chosen = sorted(random.Random(args.seed).sample(found, min(args.limit or len(found), len(found))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("keras_ssd", "zoo", "tests", "docs", "examples", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        start = time.perf_counter()
        if not passes(folder, args.tests, None):
            raise SystemExit("The tests fail without any change.")
        timeout = 60 + 5 * (time.perf_counter() - start)
        survivors = []
        for count, (line, before, after, source) in enumerate(chosen, 1):
            (folder / place).write_text(source, encoding="utf-8")
            if passes(folder, args.tests, timeout):
                survivors.append(f"{place}:{line}: {before}  ->  {after}")
                print(survivors[-1], flush=True)
            print(f"{count} of {len(chosen)} tried, {len(survivors)} survived", file=sys.stderr, flush=True)
    print(f"{place}: {len(chosen) - len(survivors)} of {len(chosen)} changes were noticed ({len(found)} are possible).")


if __name__ == "__main__":
    main()
