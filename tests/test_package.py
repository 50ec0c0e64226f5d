"""The package as a whole: import order, what the wheel holds, what an import does."""

import ast
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keras_ssd

ROOT = Path(__file__).parents[1]
PACKAGE = Path(keras_ssd.__file__).parent

# Rooms from the ground up: a module imports from rooms below its own, or from its own.
FLOORS = (
    ("_version", "_environment", "_quiet", "calling", "names", "text_files", "wording"),
    (
        "anchors",
        "boxes",
        "caffe.__init__",
        "caffe.files",
        "detections",
        "drawing",
        "fonts",
        "images",
        "formats",
        "keras_private",
        "label_places",
        "map_limits",
        "padding",
        "pictures",
        "reading_ahead",
        "replacing",
    ),
    ("box_coder", "fastpaths", "folding", "layer_calls", "layout", "matching", "nms"),
    ("decoding", "tracking"),
    ("file_arrays", "file_metadata"),
    ("caffe.layers", "encoder", "layers", "losses"),
    ("backbones",),
    ("zoo",),
    (
        "models",
        "detect_method",
        "detecting",
        "engines",
        "exporters",
        "pipeline",
        "predictor",
        "quantizing",
        "results",
        "tiling",
        "video",
    ),
    ("caffe.exporter", "caffe.importer", "data"),
    ("opening",),
    ("evaluation",),
    ("callbacks", "demonstration", "doctor", "labelling", "pruning", "serving", "smear", "training", "tuning"),
    ("benchmarking", "exporting"),
    ("cli",),
    ("__init__", "__main__"),
)
# `detections` may import `drawing` and `images`, which are on its floor.
RUNTIMES = {"engines", "exporting"}  # rooms that run files in the runtimes that these are made for
BACKENDS = {"tensorflow", "jax", "torch", "openvino"}


def modules():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[:2] != ("zoo", "data")]


def room(path):
    return room_of(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(parts):
    """The room of a module; those of `caffe` stand on floors of their own, and `caffe` itself holds nothing."""
    return ".".join(parts[:2]) if parts[0] == "caffe" else parts[0]


def imported(path):
    """Absolute names of everything that a module imports, inside functions too."""
    return imports_of(ast.parse(path.read_text(encoding="utf-8")), path)


def imports_of(tree, path="code", running=False):
    """The names that code imports; `running` leaves out those that only type checkers see."""
    names, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if running and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return names


def circles(sources):
    """{module: what it imports} of the modules that import themselves, however far around.

    Args:
        sources: {name of a module: its code}.
    """
    graph = {}
    for module, code in sources.items():
        names = imports_of(ast.parse(code), module, running=True)
        inside = {name if name in sources else name.rpartition(".")[0] for name in names}
        graph[module] = (inside & sources.keys()) - {module}
    changed = True
    while changed:  # takes away what stands before or behind every circle
        changed = False
        for module in list(graph):
            if not graph[module] or not any(module in names for names in graph.values()):
                changed = True
                del graph[module]
                for names in graph.values():
                    names.discard(module)
    return graph


def dotted(path):
    parts = ("keras_ssd", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(name):
    [floor] = [index for index, rooms in enumerate(FLOORS) if name in rooms] or [None]
    assert floor is not None, f"{name} stands on no floor; add it to FLOORS"
    return floor


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_values_imports_point_downward(path):
    own = floor_of(room(path))
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "keras_ssd" or len(parts) < 2 or own == len(FLOORS) - 1:
            continue
        assert floor_of(room_of(parts[1:])) <= own, f"{path.relative_to(ROOT)} imports {name} from a floor above"


def test_values_no_module_imports_itself_in_a_circle():
    assert circles({dotted(path): path.read_text(encoding="utf-8") for path in modules()}) == {}


def test_values_circles_are_found():
    sources = {
        "p": "from p.a import one",
        "p.a": "import p.b",
        "p.b": "def later():\n    from p.c import two",
        "p.c": "from p import b",
        "p.d": "from p.a import one\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.e import E",
        "p.e": "import p.d",
    }
    assert circles(sources) == {"p.b": {"p.c"}, "p.c": {"p.b"}}
    assert circles({**sources, "p.c": ""}) == {}


def test_values_only_one_module_names_backends():
    naming = {
        path.name
        for path in modules()
        if BACKENDS & {name.split(".")[0] for name in imported(path)} and room(path) not in RUNTIMES
    }
    assert naming == {"fastpaths.py"}


def test_values_zoo_never_imports_models_and_formats_need_no_keras():
    for path in modules():
        names = imported(path)
        if room(path) == "zoo":
            assert not [name for name in names if name.startswith("keras_ssd.models")], path
        if room(path) in ("formats", "caffe.files"):
            assert not [name for name in names if name.split(".")[0] in {"keras", *BACKENDS}], path


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


WITHOUT = """
import importlib.util, os
os.environ.pop("KERAS_BACKEND", None)
real = importlib.util.find_spec
gone = {gone!r}
importlib.util.find_spec = lambda name, *rest: None if name in gone else real(name, *rest)
{code}
"""


def test_rejects_import_without_a_backend(tmp_path):
    code = WITHOUT.format(gone=["tensorflow", "jax", "torch"], code="import keras_ssd")
    result = run_python(code, KERAS_HOME=str(tmp_path))
    assert result.returncode != 0
    message = result.stderr.strip().splitlines()
    assert any("ImportError: keras_ssd runs on Keras 3, and Keras needs a backend" in line for line in message)
    assert message[-3:] == [f"    pip install 'keras-ssd[{extra}]'" for extra in ("tensorflow", "jax", "torch")]


def test_rejects_a_backend_that_is_asked_for_and_missing(tmp_path):
    code = (
        "import importlib.util as u; r = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'jax' else r(n, *a)\nimport keras_ssd"
    )
    result = run_python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax")
    assert result.returncode != 0
    assert "'keras-ssd[jax]'" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("installed", ["jax", "torch"])
def test_values_an_installed_backend_is_taken(tmp_path, installed):
    code = (
        "import importlib.util, os, sys\n"
        "sys.orig_argv = ['python', '-m', 'keras_ssd']  # the command imports Keras later\n"
        "from keras_ssd import _environment\n"
        f"importlib.util.find_spec = lambda name, *rest: os.__spec__ if name == {installed!r} else None\n"
        "os.environ.pop('KERAS_BACKEND', None)\n"
        "_environment.choose_backend(); print('chosen', os.environ['KERAS_BACKEND'])"
    )
    result = run_python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert f"chosen {installed}" in result.stdout, result.stderr


def test_rejects_what_an_uninstalled_backend_left_behind(tmp_path):
    (tmp_path / "torch" / "__pycache__").mkdir(parents=True)
    left = f"importlib.machinery.PathFinder.find_spec('torch', [{str(tmp_path)!r}])"
    code = (
        "import importlib.machinery, importlib.util, os; os.environ.pop('KERAS_BACKEND', None)\n"
        "real = importlib.util.find_spec; gone = {'tensorflow': None, 'jax': None, 'torch': " + left + "}\n"
        "importlib.util.find_spec = lambda name, *rest: gone[name] if name in gone else real(name, *rest)\n"
        "assert gone['torch'] is not None; import keras_ssd"
    )
    result = run_python(code, KERAS_HOME=str(tmp_path))
    assert result.returncode != 0
    assert "Keras needs a backend: TensorFlow, JAX or PyTorch. None is installed" in result.stderr


def test_values_the_command_answers_help_without_keras():
    code = (
        "import sys; sys.orig_argv = ['python', '-m', 'keras_ssd']\n"
        "from keras_ssd.cli import main\n"
        "try: main(['zoo', 'list'])\n"
        "finally: print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_values_heavy_modules_are_not_imported_before_they_are_needed():
    code = (
        "import sys, keras; before = set(sys.modules); import keras_ssd\n"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} & {'requests', 'filelock', 'cv2', 'rich'}))"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("an installed package has nothing to build from")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        check=True,
        cwd=ROOT,
        capture_output=True,
        timeout=120,
    )
    return next(folder.glob("keras_ssd-*.whl"))


def test_values_wheel_holds_the_package_and_the_shelf_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
        commands = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"keras_ssd"}
    assert "keras_ssd/zoo/data/catalog.toml" in names
    assert "keras_ssd/zoo/data/labels/coco.txt" in names
    assert "keras_ssd/py.typed" in names
    page = {"index.html", "app.js", "page.css", "sources.js", "view.js"}  # of `keras-ssd serve`
    assert {f"keras_ssd/serving/page/{name}" for name in page} <= set(names)
    weights = [name for name in names if name.endswith((".h5", ".npz", ".keras", ".pyc"))]
    shipped = {"small_body.distilled.h5", "ssd_small.cells.h5"}
    assert set(weights) == {f"keras_ssd/zoo/data/weights/{name}" for name in shipped}
    assert wheel.stat().st_size < 7_500_000
    assert "Name: keras-ssd" in metadata
    assert "keras-ssd = keras_ssd.cli:main" in commands


def test_values_shelf_is_found_in_a_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.orig_argv = ['python', '-m', 'keras_ssd']\n"
        "import keras_ssd.zoo.shelf as s, keras_ssd.zoo as z\n"
        "print(s.shelf()); print(len(z.labels('voc')), z.find('ssd300.coco').name)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / "keras_ssd" / "zoo" / "data"), "20 ssd300.coco"]


QUIET = """
import numpy as np, keras_ssd
model = keras_ssd.ssd_small(classes=["cat"], anchors="general")
print(len(list(model.detect([np.zeros((50, 60, 3), "uint8")]))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_values_a_program_hears_nothing_of_the_backend(backend, monkeypatch):
    pytest.importorskip(backend)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    result = run_python(QUIET, KERAS_BACKEND=backend)
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")


def test_values_who_asks_for_the_chatter_hears_it():
    pytest.importorskip("tensorflow")
    result = run_python("import keras_ssd", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert result.returncode == 0
    assert result.stderr != ""


HOMES = """
import ast, pathlib, sys
sys.argv, sys.orig_argv = {argv!r}, {argv!r}
import keras_ssd
assert dir(keras_ssd) == keras_ssd.__all__
names = {{name: type(getattr(keras_ssd, name)).__name__ for name in keras_ssd.__all__}}
import keras_ssd.detecting
names["detect"] = type(keras_ssd.detect).__name__
print(names)
"""


@pytest.mark.slow
def test_values_names_do_not_depend_on_how_the_process_started():
    starts = [["program.py"], ["/usr/bin/keras-ssd"], ["keras-ssd.py"], ["python", "-m", "keras_ssd"]]
    quickest = {"KERAS_BACKEND": "jax"} if importlib.util.find_spec("jax") else {}  # to import
    told = [run_python(HOMES.format(argv=argv), **quickest) for argv in starts]
    assert [result.returncode for result in told] == [0] * 4, told[0].stderr
    assert len({result.stdout for result in told}) == 1
    assert "'detect': 'function'" in told[0].stdout


def test_values_type_checkers_see_the_names_that_programs_get():
    [block] = [
        node
        for node in ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    told = {alias.asname: node.module for node in block.body for alias in node.names}
    assert told == keras_ssd._HOME


@pytest.mark.parametrize("name", ["keras-ssd.py", "program.py"])
def test_values_a_program_of_any_name_reads_models(name, tmp_path):
    keras_ssd.ssd7(classes=["cat"], input_size=(64, 64)).save(tmp_path / "model.keras")
    program = tmp_path / name
    program.write_text("import keras_ssd\nimport keras\nprint(keras.saving.load_model('model.keras').class_names)\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, name], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False, env=environment
    )
    assert done.stdout == "('cat',)\n", done.stderr


def test_values_version_and_public_names():
    assert keras_ssd.__version__.count(".") >= 2
    for name in ("ssd300", "ssd512", "ssd7", "ssd", "with_decoder", "load", "detect", "Detections", "DecodeDetections"):
        assert getattr(keras_ssd, name).__doc__
