"""How long a training will take, measured on a few steps whose effect is undone."""

import dataclasses
import time

import keras
import numpy as np

from keras_ssd.data.batches import Batches
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation import evaluate

WARM_UP, TIMED = 2, 6  # steps; the first ones compile
VALIDATION_SHARE = 0.2  # largest share of the time spent on validation; MOST_BETWEEN caps the interval
MOST_BETWEEN = 10  # epochs between two validations
START_AND_END = 20.0  # seconds: compiling, the last measurements, the images of the report


@dataclasses.dataclass(frozen=True)
class Pace:
    """Measured seconds of the parts of a training on this machine.

    Args:
        step: of one step.
        validation: of one measurement on the validation set; 0 without one.
    """

    step: float
    validation: float = 0.0

    def every(self, steps: int) -> int:
        """Number of epochs between two validations, given the steps per epoch."""
        wanted = self.validation / (VALIDATION_SHARE * steps * self.step)
        return int(min(max(1, np.ceil(wanted)), MOST_BETWEEN))

    def seconds(self, epochs: int, steps: int) -> float:
        """Estimated seconds of a whole training."""
        measured = -(-epochs // self.every(steps))
        return START_AND_END + epochs * steps * self.step + measured * self.validation

    def epochs_within(self, seconds: float, steps: int) -> int:
        """Number of epochs that fit into a time, given the steps per epoch; at least one."""
        epoch = steps * self.step + self.validation / self.every(steps)
        return max(1, int((seconds - START_AND_END) / epoch))


def measured_pace(trained: keras.Model, source: Batches, validation_set: Dataset | None, kept: keras.Model) -> Pace:
    """The `Pace` of a compiled model on its batches.

    Args:
        trained: the model to train; its weights and states are restored afterwards.
        source: `Batches`; they are reset to the start afterwards.
        validation_set: `Dataset` or None.
        kept: the model that is validated.
    """
    variables = [*trained.variables, *trained.optimizer.variables]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    batches = [source.maker.batch(0, source.places(0, number)) for number in range(min(3, len(source)))]
    for number in range(WARM_UP):
        trained.train_on_batch(*batches[number % len(batches)])
    began = time.perf_counter()
    for number in range(TIMED):
        trained.train_on_batch(*batches[number % len(batches)])
    step = (time.perf_counter() - began) / TIMED
    for variable, array in zip(variables, before, strict=True):
        variable.assign(array)
    trained.reset_metrics()
    return Pace(step, 0.0 if validation_set is None else _validation(kept, validation_set, source.batch_size))


def _validation(kept, validation_set, batch_size):
    """Seconds of a measurement, from one on some of the images."""
    some = validation_set[: 2 * batch_size]
    evaluate(kept, some, "voc12", batch_size=batch_size, progress=False, engine="keras")  # compiles
    began = time.perf_counter()
    evaluate(kept, some, "voc12", batch_size=batch_size, progress=False, engine="keras")
    return (time.perf_counter() - began) * len(validation_set) / len(some)
