"""What `fit` takes: images and targets in batches, made in threads ahead of the network."""

import collections
import concurrent.futures
import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.augment import named_chain, sample_rng
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.problems import Problems
from keras_ssd.data.sample import Sample
from keras_ssd.data.unreadable import Unreadable
from keras_ssd.encoder import TargetEncoder
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector


@checked_arguments
def batches(
    dataset: Dataset,
    model: SSD,
    augment: Any = "ssd",
    batch_size: int = 8,
    *,
    shuffle: bool | None = None,
    drop_last: bool | None = None,
    encoder: TargetEncoder | None = None,
    seed: int = 0,
    workers: int | None = None,
    shard: Any = None,
    images_in_memory: bool = False,
) -> "Batches":
    """Batches of images and targets for `fit`, `evaluate` and `train_on_batch`, on every backend.

    Reading, augmenting and matching run in threads ahead of the network. What comes out depends on `seed`, the epoch
    and the image alone, not on the threads.

    `keras_ssd.data.read` has decoded every image already. One that turns out to be unreadable nevertheless ends the
    training with an error that names it; where the dataset was read under the policy "drop" or "clip", the next
    image stands in for it, a warning names it, and it is among `Batches.left_out`.

    Args:
        dataset: `keras_ssd.data.Dataset`, or any sequence of `Annotation`s with `classes`.
        model: the `SSD` to train; its size, anchors and classes count.
        augment: a chain's name, such as "ssd" or "light"; a `Block`; or None for resizing alone, as validation wants.
        batch_size: images per batch, over all replicas.
        shuffle: another order in each epoch; None is True with augmentation.
        drop_last: leave out a last batch that is not full; None is True with augmentation. Such a batch would compile
            anew, and weigh its images more.
        encoder: a `TargetEncoder` with other rules; None makes the model's.
        seed: of everything random.
        workers: threads; None is one per processor, at most 8.
        shard: (index, count): only each count-th image, for several processes.
        images_in_memory: keep decoded images, where they fit: it spares the decoding from the second epoch on.

    Returns:
        `Batches`, a `keras.utils.PyDataset` of (images (B, H, W, 3) uint8, targets (B, N, 5) float32).

    Raises:
        ValueError: no images, classes that are not the model's, or a number out of range.

    Example:
        >>> model.fit(keras_ssd.data.batches(train, model, "light"), epochs=20)
    """
    model = as_detector(model)
    if tuple(dataset.classes) != tuple(model.class_names):
        raise ValueError(
            f"The dataset has the classes {', '.join(dataset.classes)}, the model {', '.join(model.class_names)}. Make "
            "the model for the dataset's, as in ssd300(classes=dataset.classes), or dataset.with_classes(...)."
        )
    random = augment is not None
    by_name = augment is None or isinstance(augment, str)
    chain = named_chain(augment or "resize", model.input_size) if by_name else augment
    maker = SampleMaker(dataset, chain, encoder or TargetEncoder.from_model(model), model.input_size, seed)
    return Batches(
        maker,
        batch_size,
        shuffle=random if shuffle is None else shuffle,
        drop_last=random if drop_last is None else drop_last,
        workers=workers,
        shard=shard,
        images_in_memory=images_in_memory,
    )


class SampleMaker:
    """Makes the image and the targets of one place in a dataset, the same for the same (epoch, place).

    Args:
        dataset: sequence of `Annotation`s.
        chain: `Block` whose result has the size `size_hw`.
        encoder: `TargetEncoder`.
        size_hw: (height, width) that the model takes.
        seed: of the run.
    """

    def __init__(
        self, dataset: Any, chain: Any, encoder: TargetEncoder, size_hw: tuple[int, int], seed: int = 0
    ) -> None:
        self.dataset: Any = dataset
        self.chain: Any = chain
        self.encoder: TargetEncoder = encoder
        self.size_hw: tuple[int, ...] = tuple(size_hw)
        self.seed: int = int(seed)
        self.kept: dict[int, Sample] | None = None
        self.unreadable: Unreadable = Unreadable(dataset)

    def sample(self, epoch: int, index: int) -> Sample:
        """The augmented `Sample` of a place."""
        rng = sample_rng(self.seed, epoch, index)
        sample = self._read(index)

        def others(generator):
            return self._read(int(generator.integers(len(self.dataset))))

        sample = self.chain(sample, rng, others)
        if sample.size_hw != self.size_hw:
            raise ValueError(
                f"The augmentation made an image of {sample.size_hw}, and the model takes {self.size_hw}. End the "
                f"chain with Resize({self.size_hw})."
            )
        return sample

    def _read(self, index):
        if self.kept is None:
            return self.unreadable.sample(index)
        if index not in self.kept:
            self.kept[index] = self.unreadable.sample(index)
        return self.kept[index]

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """(images (B, H, W, 3), targets (B, N, 5)) of some places."""
        samples = [self.sample(epoch, int(index)) for index in indices]
        targets = self.encoder.encode_batch(
            [sample.boxes_xyxy for sample in samples],
            [sample.class_ids for sample in samples],
            [sample.difficult for sample in samples],
        )
        return np.stack([sample.image for sample in samples]), targets

    def names(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The names of the images at some places."""
        return tuple(self.dataset[int(index)].name for index in indices)


class Batches(keras.utils.PyDataset):
    """The batches of a dataset, epoch after epoch; see `batches`.

    Keras asks for a batch by its number, and may ask in an order of its own. The batches of an epoch are in random
    order already, so the k-th question of an epoch is answered by the k-th batch, and the next ones can be prepared.

    Attributes:
        epoch: which epoch is next; set it to go on where a training stopped.
        failure: the error that ended it. TensorFlow turns what happens here into an error of its graph, for which
            `SSD.fit` raises this one.
    """

    def __init__(
        self,
        maker: SampleMaker,
        batch_size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = True,
        workers: int | None = None,
        shard: tuple[int, int] | None = None,
        images_in_memory: bool = False,
    ) -> None:
        # Keras's own workers are switched off: these threads also serve `for batch in batches`.
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=1)
        if batch_size < 1 or (workers is not None and workers < 1):
            raise ValueError(
                f"`batch_size` and `workers` must be at least 1. Received: batch_size={batch_size}, workers={workers}"
            )
        index, count = shard or (0, 1)
        if not 0 <= index < count:
            raise ValueError(f"`shard` must be (index, count) with index below count. Received: shard={shard}")
        self.maker: SampleMaker = maker
        self.batch_size: int = int(batch_size)
        self.shuffle: bool = shuffle
        self.drop_last: bool = drop_last
        self.shard: tuple[int, int] = (index, count)
        self.threads: int = workers or min(8, os.cpu_count() or 1)
        if images_in_memory:
            maker.kept = {}
        self.epoch: int = 0
        self.failure: Exception | None = None
        self._asked = 0
        self._pool = None
        self._waiting = collections.OrderedDict()  # (epoch, number) -> future
        if len(self) < 1:
            raise ValueError(
                f"{len(maker.dataset)} images make no full batch of {self.batch_size}. Use a smaller batch_size, or "
                "drop_last=False."
            )

    def __len__(self) -> int:
        """Batches per epoch, the same number in every shard."""
        images = len(self.maker.dataset) // self.shard[1]
        return images // self.batch_size if self.drop_last else -(-images // self.batch_size)

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return len(self)

    def places(self, epoch: int, number: int) -> np.ndarray:
        """Which images are in a batch: places in the dataset."""
        count = len(self.maker.dataset)
        order = sample_rng_order(self.maker.seed, epoch, count) if self.shuffle else np.arange(count)
        index, shards = self.shard
        order = order[index::shards][: count // shards]
        return order[number * self.batch_size : (number + 1) * self.batch_size]

    def __getitem__(self, _: int) -> tuple[np.ndarray, np.ndarray]:
        number = self._asked % len(self)
        self._asked += 1
        try:
            return self._future(number).result()
        except Exception as error:
            self.failure = error
            raise

    @property
    def left_out(self) -> Problems:
        """`Problems`: the images that turned out to be unreadable and were left out."""
        return self.maker.unreadable.problems

    def _future(self, number):
        """The future of a batch, with the next ones put on their way."""
        return self._started(range(number, min(number + self.threads + 2, len(self))), self.epoch)

    def _started(self, numbers, epoch):
        """The future of the first of some batches, all put on their way; those after the last are of the next epoch."""
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self.threads, thread_name_prefix="keras_ssd-batch")
        keys = [(epoch + number // len(self), number % len(self)) for number in numbers]
        for key in keys:
            if key not in self._waiting:
                self._waiting[key] = self._pool.submit(self.maker.batch, key[0], self.places(*key))
        return self._waiting.pop(keys[0])

    def endless(self) -> "EndlessBatches":
        """The batches from `epoch` on without an end, for one iterator over all epochs of `fit`."""
        return EndlessBatches(self)

    def on_epoch_begin(self) -> None:
        """Starts over; Keras may have asked for a batch or two to learn their shapes."""
        self._asked = 0

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch, if this one was asked for to its end; Keras also begins one to build a model."""
        self.epoch += self._asked >= len(self)
        self._asked = 0
        self._forget_waiting()

    def _forget_waiting(self):
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One epoch."""
        self.on_epoch_begin()
        for number in range(len(self)):
            yield self[number]
        self.on_epoch_end()

    def close(self) -> None:
        """Ends the threads; they start again when needed."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self._waiting.clear()


class EndlessBatches(keras.utils.PyDataset):
    """The batches of `Batches`, one epoch after another, by a number that counts on.

    `fit` makes an iterator anew in every epoch of a source with an end. With TensorFlow each end of such an iterator
    may wait four seconds for a thread of tf.data that tunes it, while nothing computes: an epoch of six seconds then
    takes ten. A source without an end has one iterator, and the first batches of an epoch are made during the one
    before.

    Args:
        source: the `Batches`; it goes on from its `epoch`.
    """

    def __init__(self, source: Batches) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=1)
        self.source: Batches = source
        self._first = source.epoch

    @property
    def num_batches(self) -> None:
        """None: there is no end."""
        return None

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        source = self.source
        try:
            return source._started(range(number, number + source.threads + 2), self._first).result()
        except Exception as error:
            source.failure = error
            raise

    def end(self, epochs: int) -> None:
        """Ends it after a number of epochs: the source goes on behind them."""
        self.source._forget_waiting()
        self.source.epoch = self._first + epochs


@functools.lru_cache(maxsize=4)  # every batch asks
def sample_rng_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of an epoch's images."""
    order = np.random.default_rng((seed, epoch, count, 1)).permutation(count)
    order.setflags(write=False)
    return order


def batch_names(source: "Batches", epoch: int, number: int) -> tuple[str, ...]:
    """The names of the images in a batch of `Batches`, for messages."""
    return source.maker.names(source.places(epoch, number))
