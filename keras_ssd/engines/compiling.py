"""Models of Keras in an engine: written and opened once, and anew when their weights have changed."""

import threading
import time
import weakref
from typing import Any

import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.engines.choosing import Choice
from keras_ssd.engines.engine import EngineError
from keras_ssd.engines.weights_seen import WeightsSeen
from keras_ssd.exporters.onnx.network import LOGITS, OFFSETS
from keras_ssd.layers import AnchorBoxes

MOST_KEPT = 2  # networks of one model, each with a copy of its weights
SHARE = 50  # while a run goes on, weights are looked at again after this many times as long as a look takes


class Network:
    """What an engine made of a model with the weights of one moment.

    Args:
        model: a detector.
        choice: `Choice` of an engine other than Keras.
    """

    def __init__(self, model: Any, choice: Choice) -> None:
        engine = choice.engine
        if engine.written is None or engine.opened is None:
            raise EngineError(f"The engine {engine.name} computes no models.")
        content = engine.written(model)
        self._program = engine.opened(content, choice.precision)
        names = [tensor.name for tensor in self._program.outputs]
        self._places = [names.index(name) for name in (LOGITS, OFFSETS)]
        self.size = len(content)
        self.runtime = self._program.runtime
        [spec] = [layer.spec for layer in model.layers if isinstance(layer, AnchorBoxes)]
        self.anchors_cxcywh = spec.anchors_cxcywh()
        self.variances = np.broadcast_to(np.asarray(spec.variances, np.float32), self.anchors_cxcywh.shape)

    def __call__(self, images: np.ndarray) -> Predictions:
        """The parts of the raw predictions; anchors and variances without the axis of the batch.

        Args:
            images: (B, H, W, 3) uint8 RGB.
        """
        logits, offsets = self.outputs(images)
        return Predictions(logits, offsets, self.anchors_cxcywh, self.variances)

    def outputs(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(logits, offsets) of images; all that the bare engine computes."""
        found = self._program(images)
        return found[self._places[0]], found[self._places[1]]


class Kept:
    """The network of a model that is alive, as its weights are now.

    Args:
        model: a detector; it is referred to weakly.
        choice: `Choice`.
    """

    def __init__(self, model: Any, choice: Choice) -> None:
        self._model, self._choice = weakref.ref(model), choice
        self._network: Network | None = None
        self._seen: WeightsSeen | None = None
        self._looked, self._took = -np.inf, 0.0
        self._lock = threading.Lock()

    def network(self, again: bool = True) -> Network:
        """The network, written anew if the weights are others than before.

        Args:
            again: whether to look at the weights whatever the time; else only where the last look is long ago.
        """
        with self._lock:
            due = time.perf_counter() - self._looked >= SHARE * self._took
            if self._network is None or again or due:
                self._look()
            assert self._network is not None  # `_look` sets it
            return self._network

    def _look(self):
        model = self._model()
        start = time.perf_counter()
        seen = WeightsSeen(model)
        self._looked = time.perf_counter()
        self._took = self._looked - start
        if self._network is None or not seen.is_as_before(self._seen):
            self._network = None  # never two at once in memory
            self._network = Network(model, self._choice)
            self._seen = seen


_kept: Any = weakref.WeakKeyDictionary()  # model -> {(engine, precision): Kept}; ends with the model
_most: Any = weakref.WeakKeyDictionary()  # model -> how many, where that is not `MOST_KEPT`
_guard = threading.Lock()


def keep_networks(model: Any, most: int = MOST_KEPT) -> None:
    """Sets how many networks of a model are kept from now on, for work that goes from one engine to the next."""
    with _guard:
        _most[model] = max(most, MOST_KEPT)
        known = _kept.get(model, {})
        while len(known) > _most[model]:
            known.pop(next(iter(known)))


def kept_for(model: Any, choice: Choice) -> Kept:
    """The `Kept` of a model and a choice; made once, then found again."""
    with _guard:
        known = _kept.setdefault(model, {})
        key = choice.engine.name, choice.precision
        found = known.pop(key, None) or Kept(model, choice)
        while len(known) >= _most.get(model, MOST_KEPT):
            known.pop(next(iter(known)))
        known[key] = found  # the latest stands last
        return found


def forget(model: Any) -> None:
    """Drops what the engines hold of a model; the next run makes it anew."""
    _kept.pop(model, None)
