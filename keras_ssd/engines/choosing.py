"""Which engine computes a model."""

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from keras_ssd import fastpaths
from keras_ssd.engines.engine import AUTO, BFLOAT16, EXTRA, FLOAT32, PRECISIONS, Engine, EngineError
from keras_ssd.engines.runtimes import ENGINES
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.names import unknown_name

VARIABLE = "KERAS_SSD_ENGINE"  # of the environment: the engine that `auto` stands for
NO_SUPPRESSION = "openvino"  # the backend of Keras that lacks operations
NEVER_CHOSEN = ("litert",)  # its conversion takes longer than most runs


@dataclass(frozen=True)
class Choice:
    """The engine that computes a model, and why; `print` it.

    Args:
        engine: the `Engine`.
        precision: "float32" or "bfloat16".
        reason: why this one, as a sentence.
        others: {engine: why not}, for those that `auto` passed over.
        asked: whether the engine was named, so that another must not stand in for it.
    """

    engine: Engine
    precision: str
    reason: str
    others: Mapping[str, str] = field(default_factory=dict)
    asked: bool = False

    def __str__(self) -> str:
        lines = [f"{self.engine.name}, {self.precision}: {self.reason}"]
        return "\n".join([*lines, *(f"  not {name}: {why}" for name, why in self.others.items())])


def check_names(engine: str, precision: str) -> None:
    """Refuses names that are unknown.

    Raises:
        ValueError: with the nearest known one.
    """
    if engine != AUTO and engine not in ENGINES:
        raise ValueError(unknown_name("engine", engine, (AUTO, *ENGINES)))
    if precision not in (*PRECISIONS, AUTO):
        raise ValueError(unknown_name("precision", precision, (*PRECISIONS, AUTO)))


def choose(model: Any, engine: str = AUTO, precision: str = FLOAT32) -> Choice:
    """The engine for a model of Keras.

    Args:
        model: a detector.
        engine: a name of `ENGINES`, or "auto": the fastest one that is installed and supports the model, by fixed
            rules, so that the same installation always answers alike.
        precision: "float32"; "bfloat16", which changes scores by up to some hundredths; or "auto": bfloat16 where an
            installed engine has the processor's units for it, else float32.

    Raises:
        ValueError: an unknown name, or an engine that cannot compute this model or in this precision.
        MissingRuntimeError: the engine that is asked for is not installed; the text names the extra.
    """
    check_names(engine, precision)
    found = _chosen(model, engine, precision)
    if found.engine.is_keras and keras.config.backend() == NO_SUPPRESSION:
        others = "; ".join(f"{name}: {why}" for name, why in found.others.items() if name not in NEVER_CHOSEN)
        raise EngineError(
            "Keras's OpenVINO backend cannot compute suppression. Use engine='openvino' or 'onnxruntime', which "
            f"pip install 'keras-ssd[{EXTRA}]' brings, or another backend.{f' {others}' if others else ''}"
        )
    return found


def _chosen(model, engine, precision):
    if engine != AUTO:
        return _asked(model, ENGINES[engine], precision)
    named = os.environ.get(VARIABLE) or AUTO
    if named != AUTO:
        try:
            check_names(named, precision)
            return _asked(model, ENGINES[named], precision, f"the environment variable {VARIABLE} says so")
        except (ValueError, ImportError) as error:
            raise type(error)(f"{VARIABLE}={named}: {error}") from None
    return _best(model, precision)


def file_choice(path: Path, engine: str = AUTO, precision: str = FLOAT32) -> tuple[Engine, str]:
    """The engine that runs a file, and the precision.

    Raises:
        ValueError: an unknown name, or an engine that does not run such files.
        MissingRuntimeError: no engine that does is installed.
    """
    check_names(engine, precision)
    ending = path.suffix.lower()
    able = [one for one in ENGINES.values() if ending in one.endings]
    if not able:
        endings = ", ".join(dict.fromkeys(end for one in ENGINES.values() for end in one.endings))
        raise EngineError(f"No engine runs files that end in '{ending}'; there are {endings}. Received: {path}")
    if engine != AUTO:
        able = [one for one in able if one.name == engine]
        if not able:
            runs = " or ".join(one.name for one in ENGINES.values() if ending in one.endings)
            raise EngineError(f"The engine {engine} does not run '{path.name}'; {runs} does.")
    elif precision == BFLOAT16:
        able = [one for one in able if one.name == "openvino"] or able
    there = [one for one in able if not one.missing(files_only=True)]
    if not there:
        able[0].insist(files_only=True)
    if precision == AUTO:
        fast = [one for one in there if BFLOAT16 in one.precisions()]
        return (fast[0], BFLOAT16) if fast else (there[0], FLOAT32)
    if precision not in there[0].precisions():
        raise EngineError(_no_precision(there[0], precision))
    return there[0], precision


def _asked(model, engine, precision, reason="asked for"):
    engine.insist()
    _check_model(model, engine)
    able = engine.precisions()
    if precision == AUTO:
        precision = BFLOAT16 if BFLOAT16 in able else FLOAT32
    elif precision not in able:
        raise EngineError(_no_precision(engine, precision))
    return Choice(engine, precision, reason, asked=True)


def _check_model(model, engine):
    try:
        engine.refuses(model)
    except (ExportError, TypeError) as error:
        raise EngineError(
            f"The engine {engine.name} cannot compute '{getattr(model, 'name', model)}'. Use engine='keras'. {error}"
        ) from error


def _no_precision(engine, precision):
    if engine.name == "openvino":
        return (
            f"This processor has no units for {precision}, so OpenVINO has nothing to gain from it. Use "
            f"precision='auto', which takes {precision} where there are."
        )
    return f"The engine {engine.name} computes in float32. Use engine='openvino' for {precision}."


def _best(model, precision):
    keras_alone = _why_keras(model)
    if keras_alone is not None and precision != BFLOAT16:
        return Choice(ENGINES["keras"], FLOAT32, keras_alone)
    passed, served = {}, {}
    for engine in ENGINES.values():
        if not engine.is_keras:
            why = _why_not(model, engine)
            if why is None:
                served[engine.name] = engine
            else:
                passed[engine.name] = why
    if precision != FLOAT32:
        for engine in served.values():
            if BFLOAT16 in engine.precisions():
                return Choice(engine, BFLOAT16, "this processor has units for bfloat16", passed)
    if precision == BFLOAT16:
        if "openvino" in served:
            raise EngineError(_no_precision(ENGINES["openvino"], precision))
        ENGINES["openvino"].insist()
        _check_model(model, ENGINES["openvino"])
    for engine in served.values():
        return Choice(engine, FLOAT32, "the first of the engines in order of speed that serves", passed)
    nothing = f"no other engine serves; pip install 'keras-ssd[{EXTRA}]' brings them"
    supported = all(why.startswith("not installed") for name, why in passed.items() if name not in NEVER_CHOSEN)
    return Choice(ENGINES["keras"], FLOAT32, nothing if supported else "no other engine can compute the model", passed)


def _why_keras(model):
    """Why only Keras serves, as words; None where others may be better."""
    if not fastpaths.computes_on_cpu():
        return "Keras computes on a GPU or another accelerator, and the other engines compute on the CPU"
    for layer in getattr(model, "layers", ()):
        if getattr(layer, "compute_dtype", None) not in (None, "float32") and layer.weights:
            return f"the model computes in {layer.compute_dtype}, and another engine would give other numbers"
    return None


_refusals: Any = weakref.WeakKeyDictionary()  # model -> {engine: why not, or None}: its layers stay the same


def _why_not(model, engine):
    """Why `auto` passes an engine over, as words; None where it serves."""
    missing = engine.missing()
    if missing:
        return f"not installed: {', '.join(missing)}"
    if engine.name in NEVER_CHOSEN:
        return "it would have to convert the model first, which takes long; it is for .tflite files"
    known = _refusals.setdefault(model, {})
    if engine.name not in known:
        known[engine.name] = _refusal(model, engine)
    return known[engine.name]


def _refusal(model, engine):
    try:
        engine.refuses(model)
    except (ExportError, TypeError, ValueError) as error:
        return str(error)
    return None
