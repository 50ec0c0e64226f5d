"""Makes `import keras` succeed, or says what to install.

Keras uses TensorFlow unless `KERAS_BACKEND` or `~/.keras/keras.json` says otherwise, and writes that default into the
file. With `keras-ssd[torch]` alone, `import keras` would fail with "No module named 'tensorflow'". So if Keras's
backend is not installed and `KERAS_BACKEND` is not set, an installed backend is chosen.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_ssd._quiet import quiet_imports

EXTRAS = ("tensorflow", "jax", "torch")
# Modules whose import registers every class that a saved model of this package may hold.
REGISTERING = ("keras_ssd.models", "keras_ssd.losses", "keras_ssd.training")


def loads_keras() -> bool:
    """Whether `import keras_ssd` imports Keras at once and registers this package's classes.

    It does in every program except the command `keras-ssd`, which answers `--help` and `zoo list` without a backend and
    imports Keras when it needs it. The package has the same names in both cases.
    """
    arguments = sys.orig_argv
    as_module = "-m" in arguments and arguments[arguments.index("-m") + 1 :][:1] == ["keras_ssd"]
    started = sys.argv[0] if sys.argv else ""
    return not (as_module or Path(started).name in ("keras-ssd", "keras-ssd.exe"))


def load_keras() -> None:
    """Imports Keras and its backend, without the chatter of TensorFlow's start.

    Raises:
        ImportError: no Keras backend is installed, or the one asked for is not.
    """
    choose_backend()
    with quiet_imports():
        import keras  # noqa: F401


def register_classes() -> None:
    """Makes every class of this package that a saved model may hold known to Keras."""
    with without_collecting():
        for name in REGISTERING:
            importlib.import_module(name)


def _installed(name):
    # `pip uninstall` leaves a package's folder behind where it finds files that it did not write. Python imports such a
    # folder as an empty package, and Keras then fails inside it.
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _configured_backend():
    """The backend in Keras's own settings file, or None."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):
        return None


def _install_hint():
    choices = "\n".join(f"    pip install 'keras-ssd[{extra}]'" for extra in EXTRAS)
    return f"Install one of:\n{choices}"


def choose_backend() -> None:
    """Sets `KERAS_BACKEND` if Keras would otherwise import a backend that is not installed.

    Raises:
        ImportError: no Keras backend is installed, or the one asked for is not; the text names the extra to install.
    """
    if "keras" in sys.modules:
        return
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        needed = {"openvino": "openvino", "numpy": "numpy"}.get(asked, asked)
        if asked in (*EXTRAS, "openvino") and not _installed(needed):
            others = [name for name in EXTRAS if _installed(name)]
            switch = f" Or set KERAS_BACKEND={others[0]}, which is installed." if others else ""
            raise ImportError(
                f"keras_ssd needs the Keras backend that KERAS_BACKEND={asked} names, and '{needed}' is not installed. "
                f"Install it with: pip install "
                + (f"'keras-ssd[{asked}]'." if asked in EXTRAS else f"{needed}.")
                + switch
            )
        return
    wanted = _configured_backend() or "tensorflow"
    if wanted not in EXTRAS or _installed(wanted):
        return
    for name in EXTRAS:
        if _installed(name):
            os.environ["KERAS_BACKEND"] = name
            return
    raise ImportError(
        "keras_ssd runs on Keras 3, and Keras needs a backend: TensorFlow, JAX or PyTorch. None is installed. "
        + _install_hint()
    )


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Turns Python's garbage collection off while modules are imported.

    After TensorFlow's import, one collection takes twice as long as importing all of this package.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
