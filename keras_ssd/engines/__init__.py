"""Engines: runtimes that compute the network of a detector faster than Keras does.

`runtimes/` has a module an engine; `choosing.py` says which one `auto` takes; `compiling.py` keeps what an engine made
of a model and notices new weights. Decoding and suppression stay this package's own.
"""

from keras_ssd.engines.engine import AUTO as AUTO
from keras_ssd.engines.engine import FLOAT32 as FLOAT32
from keras_ssd.engines.engine import PRECISIONS as PRECISIONS
from keras_ssd.engines.engine import Engine as Engine
from keras_ssd.engines.engine import EngineError as EngineError
from keras_ssd.engines.engine import MissingRuntimeError as MissingRuntimeError
from keras_ssd.engines.runtimes import ENGINES as ENGINES
