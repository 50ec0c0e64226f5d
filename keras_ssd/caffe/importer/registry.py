"""Which function builds which type of Caffe layer."""

from collections.abc import Callable
from typing import Any, TypeVar

# Layers that are not part of the model.
DATA = ("Input", "Data", "AnnotatedData", "ImageData", "HDF5Data", "MemoryData", "DummyData", "WindowData", "VideoData")
ENDS = (
    *("Accuracy", "Silence", "DetectionEvaluate", "SoftmaxWithLoss", "SmoothL1Loss", "EuclideanLoss", "HingeLoss"),
    *("SigmoidCrossEntropyLoss", "MultinomialLogisticLoss", "InfogainLoss", "ContrastiveLoss", "FocalLoss"),
    *("SoftmaxWithFocalLoss", "CenterLoss", "ArgMax", "HDF5Output"),
)
DETECTIONS = ("DetectionOutput", "MultiBoxLoss")

Builder = TypeVar("Builder", bound=Callable[..., Any])

BUILDERS: dict[str, Callable[..., Any]] = {}


def builds(*types: str) -> Callable[[Builder], Builder]:
    """Registers a function as the builder of these layer types.

    A builder is `function(step, *inputs)` with a `building.Step` and `Blob`s; it returns a `Blob`, or a sequence of
    them for a layer with several tops.
    """

    def register(function: Builder) -> Builder:
        for kind in types:
            if kind in BUILDERS:
                raise ValueError(f"Layer type '{kind}' has two builders.")
            BUILDERS[kind] = function
        return function

    return register
