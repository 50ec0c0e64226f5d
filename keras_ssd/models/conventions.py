"""The conventions of PyTorch projects for their SSDs' weights: anchors, means, and decoding."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from keras_ssd.backbones.vgg16 import MEAN_RGB


@dataclass(frozen=True)
class Conventions:
    """The conventions of a project's VGG16 SSDs.

    Args:
        mean_rgb: subtracted from RGB images in 0..255.
        scales: the anchor table, or None if the project has several.
        truncate_sizes, clamp_sizes: as of an `AnchorRecipe`.
        decoding: options of `DecodeDetections` other than the original's.
    """

    mean_rgb: tuple[float, ...]
    scales: str | None = None
    truncate_sizes: bool = False
    clamp_sizes: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)


# Source: pytorch/vision, models/detection/ssd.py (means and deviations are of images in 0..1); amdegroot/ssd.pytorch,
# data/config.py; lufficc/SSD, config/defaults.py; open-mmlab/mmdetection, configs/_base_/models/ssd300.py.
CONVENTIONS = MappingProxyType(
    {
        "torchvision": Conventions(
            tuple(255 * mean for mean in (0.48235, 0.45882, 0.40784)),
            scales="coco",
            clamp_sizes=True,
            decoding={"clip_boxes": "before"},
        ),
        "amdegroot": Conventions(MEAN_RGB, clamp_sizes=True),
        "lufficc": Conventions(MEAN_RGB, clamp_sizes=True),
        "mmdetection": Conventions(
            (123.675, 116.28, 103.53),
            truncate_sizes=True,
            decoding={"confidence_threshold": 0.02, "clip_boxes": "before"},
        ),
    }
)
