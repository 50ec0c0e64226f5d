"""Which function builds which type of Caffe layer."""

# Layers that leave nothing in the model.
DATA = ("Input", "Data", "AnnotatedData", "ImageData", "HDF5Data", "MemoryData", "DummyData", "WindowData", "VideoData")
ENDS = (
    *("Accuracy", "Silence", "DetectionEvaluate", "SoftmaxWithLoss", "SmoothL1Loss", "EuclideanLoss", "HingeLoss"),
    *("SigmoidCrossEntropyLoss", "MultinomialLogisticLoss", "InfogainLoss", "ContrastiveLoss", "FocalLoss"),
    *("SoftmaxWithFocalLoss", "CenterLoss", "ArgMax", "HDF5Output"),
)
DETECTIONS = ("DetectionOutput", "MultiBoxLoss")

BUILDERS = {}


def builds(*types):
    """Registers a function as the builder of these layer types.

    A builder is `function(step, *inputs)`: `step` is a `building.Step`, `inputs` are `Blob`s; it returns a `Blob`, or
    a sequence of them for a layer with several tops.
    """

    def register(function):
        for kind in types:
            if kind in BUILDERS:
                raise ValueError(f"Layer type '{kind}' has two builders.")
            BUILDERS[kind] = function
        return function

    return register
