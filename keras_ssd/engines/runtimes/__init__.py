"""The engines, a module each: a module here with an `ENGINE` is an engine, and nothing else has to change.

The modules import their runtimes when these are asked for, so that a list of names costs nothing.
"""

import importlib
import pkgutil

from keras_ssd.engines.engine import Engine


def _found() -> dict[str, Engine]:
    engines = [importlib.import_module(f"{__name__}.{module.name}").ENGINE for module in pkgutil.iter_modules(__path__)]
    return {engine.name: engine for engine in sorted(engines, key=lambda engine: engine.place)}


ENGINES: dict[str, Engine] = _found()  # in the order in which `auto` tries them
