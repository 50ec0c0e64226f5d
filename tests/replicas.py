"""Training on two virtual CPU devices or processes, run by tests in a process of its own.

    python replicas.py one|strategy|distribution|processes FOLDER

Writes the trained weights, and what `fit` reports, to `arrays.npz` and `batches.npz` in FOLDER. `one` is a single
device with the whole batch; the others share it between two. `arrays` is one step on a batch whose first half has many
objects, the second few or none; `batches` are two epochs of images through `keras_ssd.data.batches`.
"""

import os
import sys
from typing import ClassVar

MODE, FOLDER = sys.argv[1:]
if MODE == "distribution":
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402
from training_toys import CLASSES, SIZE_HW, squares  # noqa: E402

import keras_ssd  # noqa: E402
from keras_ssd.box_coder import NUM_BOX_COLUMNS, Targets  # noqa: E402
from keras_ssd.data.batches import batches  # noqa: E402

BATCH, ANCHORS, DEVICES = 4, 30, 2


class Arrays:
    """Images (B, 6) and targets (B, N, 5) with 7, 3, 1 and 0 positives; a dense layer makes the predictions."""

    name = "arrays"
    epochs = 1

    def network(self):
        width = len(CLASSES) + 1 + NUM_BOX_COLUMNS
        weights = np.random.default_rng(6).normal(size=(6, ANCHORS * width)).astype(np.float32)
        inputs = keras.Input((6,))
        dense = keras.layers.Dense(ANCHORS * width)
        net = keras.Model(inputs, keras.layers.Reshape((ANCHORS, width))(dense(inputs)))
        dense.set_weights([weights, np.zeros(ANCHORS * width, np.float32)])
        return net

    def batches(self, net, index=0, count=1):
        rng = np.random.default_rng(5)
        class_ids, offsets = np.zeros((BATCH, ANCHORS), np.float32), np.zeros((BATCH, ANCHORS, 4), np.float32)
        for image, objects in enumerate((7, 3, 1, 0)):
            class_ids[image, :objects] = rng.integers(1, len(CLASSES) + 1, objects)
            offsets[image, :objects] = rng.normal(size=(objects, 4))
        images, targets = rng.normal(size=(BATCH, 6)).astype(np.float32), Targets(class_ids, offsets).join()
        part = slice(index * BATCH // count, (index + 1) * BATCH // count)
        return Ready(images[part], targets[part])


class Ready(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return self.batch


class Images:
    """Drawn squares, augmented and shuffled; a convolution makes the predictions."""

    name = "batches"
    epochs = 2

    def network(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((*SIZE_HW, 3))
        x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
        x = Seen(name="seen")(x)
        x = keras.layers.Conv2D(8, 5, strides=4, padding="same", activation="relu", name="body")(x)
        spec = keras_ssd.AnchorSpec(SIZE_HW, (keras_ssd.AnchorLevel.prior_box(SIZE_HW, (4, 6), (7,)),))
        return keras_ssd.ssd(keras.Model(inputs, x), ["body"], CLASSES, spec)

    def batches(self, net, index=0, count=1):
        return batches(squares(10), net, "light", BATCH // count, seed=3, shard=(index, count))


class Seen(keras.layers.Layer):
    """Takes down how many images each device gets; that is known when a step is compiled."""

    shapes: ClassVar = set()

    def call(self, x):
        if MODE == "distribution":
            import jax

            def take_down(sharding):
                self.shapes.add(sharding.shard_shape(x.shape)[0])

            jax.debug.inspect_array_sharding(x, callback=take_down)
        if MODE == "strategy":
            import tensorflow as tf

            tf.py_function(lambda n: self.shapes.add(int(n)), [tf.shape(x)[0]], [])
        return x


def compiled(source):
    net = source.network()
    loss = keras_ssd.SSDLoss()
    net.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
    return net


def save(source, net, **results):
    weights = {f"weight {place}": keras.ops.convert_to_numpy(w) for place, w in enumerate(net.trainable_weights)}
    np.savez(os.path.join(FOLDER, f"{source.name}.npz"), **weights, **results)


def fit(source):
    net = compiled(source)
    history = net.fit(source.batches(net), epochs=source.epochs, shuffle=False, verbose=0).history
    return net, history


def fit_twice(source):
    """The same again must be the same to the bit."""
    (first, history), (second, again) = fit(source), fit(source)
    assert history == again, (history, again)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if MODE != "one" and source.name == "batches":
        assert Seen.shapes == {BATCH // DEVICES}, Seen.shapes
    save(source, first, **history)


def one():
    for source in SOURCES:
        fit_twice(source)


def strategy():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)
    mirrored = tf.distribute.MirroredStrategy([f"CPU:{place}" for place in range(DEVICES)])
    assert mirrored.num_replicas_in_sync == DEVICES
    with mirrored.scope():
        one()


def distribution():
    assert len(keras.distribution.list_devices()) == DEVICES
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    one()


def process(rank, rendezvous):
    """One of two processes: its part of each batch, with gradients averaged as DistributedDataParallel does."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=DEVICES)
    for source in SOURCES:
        share(source, rank)
    dist.destroy_process_group()


def share(source, rank):
    import torch
    import torch.distributed as dist

    net = compiled(source)
    feed, losses = source.batches(net, rank, DEVICES), []
    for _ in range(source.epochs):
        of_epoch = []
        feed.on_epoch_begin()
        for number in range(len(feed)):
            images, targets = feed[number]
            loss = keras_ssd.SSDLoss()(targets, net(torch.tensor(images), training=True))
            net.zero_grad()
            loss.backward()
            weights = net.trainable_weights
            for weight in weights:
                dist.all_reduce(weight.value.grad)
            net.optimizer.apply([weight.value.grad / DEVICES for weight in weights], weights)
            mean = loss.detach()
            dist.all_reduce(mean)
            of_epoch.append(mean.numpy() / DEVICES)
        feed.on_epoch_end()
        losses.append(np.mean(of_epoch))
    if rank == 0:
        save(source, net, loss=losses)


def processes():
    import torch

    torch.multiprocessing.spawn(process, (os.path.join(os.path.abspath(FOLDER), "rendezvous"),), nprocs=DEVICES)


SOURCES = (Arrays(), Images())

if __name__ == "__main__":
    {"one": one, "strategy": strategy, "distribution": distribution, "processes": processes}[MODE]()
