"""Whether the network is fed what its weights were trained on: colour order, mean, scale, and size of images."""

from typing import Any

import keras
import numpy as np

from keras_ssd.backbones.vgg16 import MEAN_RGB
from keras_ssd.doctor.findings import DOUBT, FAULT, FINE, Finding
from keras_ssd.doctor.probe import Probe

# What networks are fed: (factor, summand) of RGB in 0..255.
HABITS: dict[str, tuple[Any, Any]] = {
    "values 0..255": (1.0, 0.0),
    "values 0..1": (1 / 255, 0.0),
    "values -1..1": (1 / 127.5, -1.0),
    f"values 0..255 less the mean {MEAN_RGB[0]:g}, {MEAN_RGB[1]:g}, {MEAN_RGB[2]:g}": (1.0, -np.array(MEAN_RGB)),
    "values -127.5..127.5": (1.0, -127.5),
    "PyTorch's mean and deviation": (
        1 / (255 * np.array([0.229, 0.224, 0.225])),
        -np.array([0.485, 0.456, 0.406]) / np.array([0.229, 0.224, 0.225]),
    ),
}
SOME = 8  # images to experiment with
LARGE = 4  # times the input's size, from which small objects vanish
WARPED = 2.5  # times wider or higher than the input's shape
HALF = 0.5
STRANGE = 0.2  # KL divergence below which a mismatch is ignored
BLIND = 0.5  # confident detections per image below which a network counts as finding nothing
CONTRAST = 4  # largest contrast ratio at which detections are trusted


def check_preprocessing(probe: Probe) -> Finding:
    """Tries common preprocessings and reports one that clearly works better."""
    own = own_habit(probe.network)
    told = _told(own)
    if not probe.given:
        return Finding("preprocessing", FINE, f"the model feeds its network {told}; give images to try others.")
    few = probe.first(SOME)
    name, why = _scale(few, own)
    habit = own if name is None else HABITS[name]
    straight, turned = (few.answer(_as_if(inputs, habit, own)) for inputs in (few.inputs, few.inputs[..., ::-1]))
    swapped = probe.better(turned, straight)
    if swapped:
        why.append(f"fed BGR it finds {probe.told(turned)}, and RGB {probe.told(straight)}")
    if not why:
        text = f"the model feeds its network {told}, and no other way that was tried suits it clearly better."
        return Finding("preprocessing", FINE, text)
    what = " and ".join(["colour order"] * swapped + ["mean and scale"] * (name is not None))
    wanted = f"{'BGR' if swapped else 'RGB'}, {name or told}"
    advice = ["Turn the input channels of the first convolution's kernel (kernel[:, :, ::-1])."] * swapped
    advice += [f"Give the layer 'preprocessing' what makes {name}."] * (name is not None)
    text = f"{what}: the network is fed RGB, {told}, and its weights were trained on {wanted}: {'; '.join(why)}."
    return Finding("preprocessing", FAULT, text, " ".join(advice))


def _scale(probe, own):
    """The name of the habit that suits the network clearly better than its own, or None; and why, a list of texts.

    Batch normalisations keep the mean and variance of what they were trained on, so any images of the kind show a
    wrong mean or scale. Without them, the detections are compared.
    """
    others = {name: habit for name, habit in HABITS.items() if not _same(habit, own)}
    memory = _Memory.of(probe.network)
    if memory is not None:
        strange = {name: memory.strangeness(_as_if(probe.inputs, habit, own)) for name, habit in others.items()}
        before, best = memory.strangeness(probe.inputs), min(strange, key=strange.__getitem__)
        if before < 2 * strange[best] + STRANGE:
            return None, []
        text = (
            f"what its first normalisation remembers is {before:.2g} away from what it gets, and {strange[best]:.2g} so"
        )
        return best, [text]
    before = probe.answer(probe.inputs)
    contrast = np.mean(own[0])
    worths = {
        name: probe.answer(_as_if(probe.inputs, habit, own))
        for name, habit in others.items()
        # Too much contrast makes any network sure of anything.
        if probe.truth is not None or before < BLIND or contrast / CONTRAST < np.mean(habit[0]) < contrast * CONTRAST
    }
    best = max(worths, key=worths.__getitem__, default=None)
    if best is None or not probe.better(worths[best], before):
        return None, []
    return best, [f"it finds {probe.told(before)}, and so {probe.told(worths[best])}"]


class _Memory:
    """What the first batch normalisation of a network was trained on.

    Args:
        network: from images to predictions.
        norm: the layer.
    """

    def __init__(self, network, norm):
        self.reach = keras.Model(network.inputs[0], norm.input)
        self.mean = np.asarray(keras.ops.convert_to_numpy(norm.moving_mean), float)
        self.variance = np.asarray(keras.ops.convert_to_numpy(norm.moving_variance), float) + norm.epsilon

    @classmethod
    def of(cls, network):
        """The memory of a network; None if it has no batch normalisation, or one with its initial statistics."""
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, 3):
                memory = cls(network, layer)
                fresh = np.allclose(memory.mean, 0) and np.allclose(memory.variance, 1, atol=0.01)
                return None if fresh else memory
        return None

    def strangeness(self, images):
        """KL divergence per channel between this layer's inputs and its training statistics, both as normals."""
        arrived = np.asarray(keras.ops.convert_to_numpy(self.reach(images, training=False)), float)
        mean, variance = arrived.mean(axis=(0, 1, 2)), arrived.var(axis=(0, 1, 2)) + 1e-12
        ratio = variance / self.variance
        return float(np.mean(ratio - np.log(ratio) - 1 + (mean - self.mean) ** 2 / self.variance) / 2)


def own_habit(network: Any) -> tuple[Any, Any]:
    """(factor, summand) of RGB in 0..255 that the model's layer `preprocessing` applies; (1, 0) without one."""
    layers = [layer for layer in network.layers if layer.name == "preprocessing"]
    if not layers:
        return 1.0, 0.0
    prepare = keras.Model(network.inputs[0], layers[0].output)
    if prepare.output_shape != network.input_shape:
        return 1.0, 0.0
    shape = (1, *network.input_shape[1:])
    dark, light = (
        np.asarray(keras.ops.convert_to_numpy(prepare(np.full(shape, v, "float32"))))[0, 0, 0] for v in (0, 255)
    )
    return (light - dark) / 255, dark


def _as_if(images, habit, own):
    """Images that the model's own preprocessing turns into what another preprocessing makes of the given ones."""
    return ((images * habit[0] + habit[1] - own[1]) / own[0]).astype(np.float32)


def _same(habit, own):
    return np.allclose(habit[0], own[0], rtol=0.01) and np.allclose(habit[1], own[1], rtol=0.02, atol=0.02)


def _told(own):
    for name, habit in HABITS.items():
        if _same(habit, own):
            return name
    low, high = np.round(own[1], 3), np.round(np.asarray(own[0]) * 255 + own[1], 3)
    return f"values {np.min(low):g}..{np.max(high):g}"


def check_images(probe: Probe) -> Finding:
    """Whether objects keep a size at which anchors can answer when images are warped to the input."""
    if not probe.given:
        return Finding("images", FINE, "none were given.")
    height, width = probe.model.input_size
    sizes = np.array(probe.sizes_hw, float)
    input_told = f"the network's {height}x{width}"
    if probe.truth is not None and any(len(one) for one in probe.truth):
        middle, smallest = _middle_object(probe), _smallest_anchor(probe.model)
        if middle < HALF * smallest:
            return Finding(
                "images",
                FAULT,
                f"half of the objects are below {middle:.0f} pixels when images are warped to {input_told}, and the "
                f"smallest anchor has {smallest:.0f}: no anchor can match them.",
                "Cut the images into tiles, take a larger input_size, or smaller anchors (keras-ssd anchors report).",
            )
    times = float(np.median((sizes / [height, width]).min(axis=1)))
    if times >= LARGE:
        text = f"half of them are {times:.0f} times as large as {input_told} or larger: small objects vanish."
        return Finding("images", DOUBT, text, "Cut them into tiles, or take a larger input_size.")
    warp = np.log(sizes[:, 1] / sizes[:, 0] / (width / height))
    if np.median(np.abs(warp)) > np.log(WARPED):
        squeezed = np.exp(np.median(np.abs(warp)))
        text = f"half of them are {squeezed:.1f} times as wide or high as {input_told}: all is squeezed."
        return Finding("images", DOUBT, text, "Cut or pad them to a shape nearer to the input's.")
    if all(np.ptp(image, axis=-1).max() < 1 for image in probe.inputs):
        text = "all of them are grey; the network was most likely trained on colours."
        return Finding("images", DOUBT, text, "Take images in colour, or train on grey ones.")
    return Finding("images", FINE, f"{len(sizes)}, of sizes that {input_told} can hold.")


def _smallest_anchor(model):
    """Side in input pixels of a square with the smallest anchor's area."""
    height, width = model.input_size
    sides = model.anchor_spec.anchors_cxcywh()[..., 2:] * [width, height]
    return float(np.sqrt(sides.prod(axis=-1).min()))


def _middle_object(probe):
    """Side in input pixels of a square with the area of the middle one of all objects."""
    factors = np.array(probe.model.input_size) / np.array(probe.sizes_hw, float)
    areas = [
        np.prod(one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2], axis=1) * factor.prod()
        for one, factor in zip(probe.truth, factors, strict=True)
    ]
    return float(np.sqrt(np.median(np.concatenate(areas))))
