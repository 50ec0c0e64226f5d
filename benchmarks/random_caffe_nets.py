"""Small Caffe nets for tests and for `caffe_fuzz.py`: written layer by layer, run by Keras and by OpenCV."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import keras_ssd.caffe.files as caffe

MEAN, SCALE = 127.5, 1 / 64


class SmallNet:
    """A prototxt that grows layer by layer, with its weights.

    Args:
        rng: numpy's random generator.
        channels: of the image, 1 or 3.
        size_hw: of the image.
    """

    def __init__(self, rng, channels=3, size_hw=(9, 10)):
        self.rng = rng
        self.text = 'layer { name: "data" type: "Input" top: "data" input_param { shape { '
        self.text += " ".join(f"dim: {d}" for d in (1, channels, *size_hw)) + " } } }\n"
        self.blobs, self.top, self.count = {}, "data", 0
        self.size_hw = tuple(size_hw)
        self.shape = (channels, *size_hw)

    def add(self, kind, params="", blobs=(), bottoms=None, tops=None, shape=None):
        """Appends a layer; returns the name of its (first) top, which the next layer reads."""
        self.count += 1
        name = f"{kind.lower()}{self.count}"
        tops = tops or [name]
        links = [f'bottom: "{b}"' for b in bottoms or [self.top]] + [f'top: "{t}"' for t in tops]
        self.text += f'layer {{ name: "{name}" type: "{kind}" {" ".join(links)} {params} }}\n'
        if blobs:
            self.blobs[name] = tuple(np.asarray(blob, np.float32) for blob in blobs)
        self.top = tops[0]
        self.shape = shape or self.shape
        return self.top

    def weights(self, *shape, scale=1.0):
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        return (self.rng.normal(size=shape) * scale / max(fan_in, 1) ** 0.5).astype(np.float32)

    def number(self, low, high):
        """A whole number, both ends among the possible ones."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, *options):
        return options[self.number(0, len(options) - 1)]

    def channels(self, count, bottom=None):
        """A 1x1 convolution to so many channels."""
        weights = self.weights(count, self.shape[0], 1, 1), self.weights(count, scale=0.3)
        params = f"convolution_param {{ num_output: {count} kernel_size: 1 }}"
        return self.add("Convolution", params, weights, [bottom or self.top], shape=(count, *self.shape[1:]))

    def parsed(self):
        """The net, and the net with its weights, as the package reads them."""
        net = caffe.parse_prototxt(self.text)
        layers = [_with_blobs(layer, self.blobs.get(layer.name, ())) for layer in net.layers]
        return net, caffe.CaffeNet("weights", layers)


def _with_blobs(layer, blobs):
    return replace(layer, blobs=blobs)


def in_keras(net, image, top=None):
    """The blob `top` (the last one by default) of a small net, in Caffe's order of axes; image RGB (H, W, 3)."""
    from keras_ssd.caffe.importer import from_caffe

    description, weights = net.parsed()
    model = from_caffe(description, weights, outputs=[top or net.top], mean=MEAN, scale=SCALE)
    y = model.predict_on_batch(image[None])
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def in_opencv(net, image):
    """The last blob of a small net, computed by OpenCV; image RGB (H, W, 3), or (H, W, 1)."""
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        prototxt, caffemodel = Path(folder) / "net.prototxt", Path(folder) / "net.caffemodel"
        prototxt.write_text(net.text, encoding="utf-8")
        caffe.write_caffemodel(net.parsed()[1], caffemodel)
        reader = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    blob = ((image[..., ::-1] - MEAN) * SCALE).astype(np.float32).transpose(2, 0, 1)[None]
    reader.setInput(np.ascontiguousarray(blob))
    return reader.forward()


def window(net, dilation=False, max_stride=None):
    """Random kernel, stride, pad and dilation that fit: {name: [h, w]}, and Caffe's words for them.

    `max_stride` None keeps strides up to the kernel.
    """
    numbers = {"kernel": [], "stride": [], "pad": [], "dilation": []}
    for size in net.shape[1:]:
        rate = net.pick(1, 1, 2, 3) if dilation else 1
        kernel = net.number(1, max(1, min(5, 1 + (size - 1) // rate)))
        numbers["kernel"].append(kernel)
        numbers["stride"].append(net.number(1, max_stride or kernel))
        numbers["pad"].append(net.number(0, min(kernel - 1, 2)))
        numbers["dilation"].append(rate)
    if net.pick(True, True, False):  # mostly square
        numbers = {name: [min(pair)] * 2 for name, pair in numbers.items()}
    words = []
    for name, (high, wide) in numbers.items():
        if name == "dilation":
            words += [f"dilation: {high} dilation: {wide}"] if dilation and (high, wide) != (1, 1) else []
        elif high == wide and net.pick(True, False):
            words.append(f"{name}_size: {high}" if name == "kernel" else f"{name}: {high}")
        else:
            words.append(f"{name}_h: {high} {name}_w: {wide}")
    return numbers, " ".join(words)


def divisor(net, number):
    return net.pick(*[d for d in range(1, number + 1) if number % d == 0])
