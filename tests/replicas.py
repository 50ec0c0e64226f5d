"""One training step on two virtual CPU devices or processes, run by tests in a process of its own.

    python replicas.py one|strategy|distribution|processes RESULT

Writes the trained weights, and what `fit` reports, to the npz file RESULT. `one` is a single device with the whole
batch; the others share it between two, unevenly in objects: the first half has many, the second few or none.
"""

import os
import sys

MODE, RESULT = sys.argv[1:]
if MODE == "distribution":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_ssd  # noqa: E402
from keras_ssd.coding import NUM_BOX_COLUMNS, Targets  # noqa: E402

BATCH, ANCHORS, CLASSES = 4, 30, 3


def data():
    """Pictures (B, 6) and targets (B, N, 5) with 7, 3, 1 and 0 positives."""
    rng = np.random.default_rng(5)
    class_ids, offsets = np.zeros((BATCH, ANCHORS), np.float32), np.zeros((BATCH, ANCHORS, 4), np.float32)
    for picture, count in enumerate((7, 3, 1, 0)):
        class_ids[picture, :count] = rng.integers(1, CLASSES + 1, count)
        offsets[picture, :count] = rng.normal(size=(count, 4))
    return rng.normal(size=(BATCH, 6)).astype(np.float32), Targets(class_ids, offsets).join()


def model():
    """A dense layer whose outputs stand for predictions."""
    width = CLASSES + 1 + NUM_BOX_COLUMNS
    weights = np.random.default_rng(6).normal(size=(6, ANCHORS * width)).astype(np.float32)
    inputs = keras.Input((6,))
    dense = keras.layers.Dense(ANCHORS * width)
    net = keras.Model(inputs, keras.layers.Reshape((ANCHORS, width))(dense(inputs)))
    dense.set_weights([weights, np.zeros(ANCHORS * width, np.float32)])
    loss = keras_ssd.SSDLoss()
    net.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
    return net


def save(net, **results):
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in net.trainable_weights)
    np.savez(RESULT, kernel=kernel, bias=bias, **results)


def fit(net):
    history = net.fit(*data(), batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history
    save(net, **{key: values[0] for key, values in history.items()})


def strategy():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert mirrored.num_replicas_in_sync == 2
    with mirrored.scope():
        net = model()
    fit(net)


def distribution():
    assert len(keras.distribution.list_devices()) == 2
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    fit(model())


def process(rank, rendezvous):
    """A process of two: its half of the batch, with gradients averaged as DistributedDataParallel does."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    net = model()
    pictures, targets = (x[rank * 2 : rank * 2 + 2] for x in data())
    loss = keras_ssd.SSDLoss()(targets, net(torch.tensor(pictures), training=True))
    loss.backward()
    for weight in net.trainable_weights:
        dist.all_reduce(weight.value.grad)
    net.optimizer.apply([weight.value.grad / 2 for weight in net.trainable_weights], net.trainable_weights)
    mean = loss.detach()
    dist.all_reduce(mean)
    if rank == 0:
        save(net, loss=mean.numpy() / 2)
    dist.destroy_process_group()


def processes():
    import torch

    torch.multiprocessing.spawn(process, (f"{RESULT}.rendezvous",), nprocs=2)


if __name__ == "__main__":
    {"one": lambda: fit(model()), "strategy": strategy, "distribution": distribution, "processes": processes}[MODE]()
