"""A network that is none, for tests of `keras-ssd detect` that are about everything else."""

import sys

from PIL import Image

from keras_ssd.cli import main
from keras_ssd.detections import Detections

NAMES = ("cat", "dog")


class Lookalike:
    """Stands for a model: `opened` notes how it was asked for."""

    opened = ()


def replace_network(monkeypatch):
    """Replaces the network: every readable image holds one cat of score 0.75 and one dog of 0.5."""
    import keras_ssd.detecting
    import keras_ssd.opening
    from keras_ssd.images import ImageError, expand_sources, read_image

    def open_model(weights, model=None, class_names=None):
        Lookalike.opened = (weights, model, class_names)
        return Lookalike()

    def detect(model, sources, *, on_error, classes=None, confidence, **options):
        Lookalike.options = {"classes": classes, "confidence": confidence, **options}
        for source in expand_sources(sources):
            try:
                limits = {key: options[key] for key in options if key == "max_pixels"}
                height, width = read_image(source.image, name=source.name, **limits).shape[:2]
            except ImageError as error:
                on_error(error)
                continue
            image = source.image if source.in_memory else None
            boxes = [[0, 0, width / 2, height / 2], [1, 1, width, height]]
            found = Detections(boxes, [0.75, 0.5], [0, 1], NAMES, (height, width), source.name, image)
            yield found.filter(classes=classes, confidence=confidence)

    monkeypatch.setattr(keras_ssd.opening, "open_model", open_model)
    monkeypatch.setattr(sys.modules["keras_ssd.detecting"], "detect", detect)


def make_images(tmp_path):
    """A folder of three images."""
    images = tmp_path / "in"
    images.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.gif")):
        Image.new("RGB", (60 + i, 40), (90, 90, 90)).save(images / name)
    return images


def run(*arguments):
    return main(["detect", *map(str, arguments), "--weights", "some"])
