"""Small videos of a red and a green square, and a network that finds them, for tests."""

import struct
from fractions import Fraction

import numpy as np

from keras_ssd.pipeline import Detecting
from keras_ssd.video import VideoWriter

SIZE_HW = (64, 96)
NAMES = ("red", "green")
RATE = 10.0
SQUARES = ((0, (220, 30, 30)), (1, (30, 200, 30)))


def image_at(number, size_hw=SIZE_HW):
    """The red square moves right, the green one left."""
    image = np.full((*size_hw, 3), 90, np.uint8)
    image[8:24, 8 + 2 * number : 24 + 2 * number] = SQUARES[0][1]
    image[36:52, 70 - 2 * number : 86 - 2 * number] = SQUARES[1][1]
    return image


def write_video(path, frames=20, times=None, size_hw=SIZE_HW, audio=None):
    """A video of `image_at`, with the times of its frames; returns its path."""
    with VideoWriter(path, frame_rate=RATE, audio=audio) as writer:
        for number in range(frames):
            writer.write(image_at(number, size_hw), number / RATE if times is None else times[number])
    return path


def write_sound(path, av, seconds=2, codec="aac", video=False):
    """A file with a tone, and with a video where it is asked for."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10) if video else None
        tone = container.add_stream(codec, rate=16000)
        if pictures is not None:
            pictures.height, pictures.width, pictures.pix_fmt = *SIZE_HW, "yuv420p"
            for number in range(10 * seconds):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(image_at(number), format="rgb24")))
        kind = "fltp" if codec == "aac" else "s16"
        for place in range(0, 16000 * seconds, 1000):
            wave = 0.3 * np.sin(np.arange(place, place + 1000) * 0.2)
            wave = wave.astype(np.float32) if kind == "fltp" else (wave * 32000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format=kind, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, place, Fraction(1, 16000)
            container.mux(tone.encode(frame))
        if pictures is not None:
            container.mux(pictures.encode())
        container.mux(tone.encode())
    return path


def turned(data):
    """The bytes of an mp4 file with the tag that its frames are to be turned by a quarter, clockwise."""
    place = data.index(b"tkhd") + 4 + 40
    return data[:place] + struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30) + data[place + 36 :]


class Squares:
    """Stands for a network: finds the squares by their colour."""

    size_hw = SIZE_HW
    num_classes = 2

    def __init__(self, scores=(0.9, 0.8)):
        self.scores, self.batches = scores, []

    def begin(self):
        pass

    def rows(self, images, batch):
        self.batches.append(len(images))
        return np.stack([self._row(image) for image in images])

    def _row(self, image):
        found = np.full((2, 6), -1, np.float32)
        for row, (kind, colour) in enumerate(SQUARES):
            y, x = np.nonzero((np.abs(image.astype(int) - colour) < 60).all(axis=2))
            if len(x) > 30:
                box = [x.min() / 96, y.min() / 64, (x.max() + 1) / 96, (y.max() + 1) / 64]
                found[row] = [kind, self.scores[row], *box]
        return found


def replace_network(monkeypatch, network=None):
    """Lets every model find the squares; returns the network."""
    import sys

    import keras_ssd.opening
    import keras_ssd.video.detecting

    network = network or Squares()

    def make(model, confidence, classes, batch_size, *rest):
        ids = None if classes is None else np.array([NAMES.index(name) for name in classes])
        return Detecting(network, NAMES, 0.5 if confidence is None else confidence, ids, batch_size, 1, 10**8)

    monkeypatch.setattr(sys.modules["keras_ssd.detecting"], "make_detecting", make)
    monkeypatch.setattr(keras_ssd.video.detecting, "make_detecting", make)
    monkeypatch.setattr(keras_ssd.opening, "open_model", lambda *args, **options: object())
    return network
