"""The operation `TFLite_Detection_PostProcess` for a detector: its settings, or why it cannot do the work.

It decodes offsets in the order y, x, h, w with one scale for each, keeps scores that are at least a threshold, and
suppresses each class by itself ("regular") or the best class of each anchor ("fast"). What it does not have is done by
built-in operators before and after it: other codes of boxes, clipping, a limit of candidates before suppression.

Source: tensorflow, tensorflow/lite/kernels/detection_postprocess.cc.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.anchors import AnchorSpec
from keras_ssd.decoding import DecodeOptions
from keras_ssd.exporters.model_graph import ExportError

NAME = "TFLite_Detection_PostProcess"
IMAGE_AS_ANCHOR = (0.0, 0.0, 1.0, 1.0)  # centre and sides y, x, h, w of the anchor that leaves boxes as they are


@dataclass(frozen=True)
class PostProcess:
    """The operation, and what goes before and after it.

    Args:
        settings: of the operation.
        anchors_yxhw: (N, 4) float32.
        coded: the network gives offsets from the anchors; else it decodes the boxes by itself, because the operation
            does not know their code, or because they are clipped before suppression.
        best_only: only the best class of each anchor takes part, where it is not the background.
        top_k: candidates of a class, see `keras_ssd.DecodeOptions`; None for all.
        clipped: the operation's boxes are clamped to the image.
    """

    settings: dict[str, Any]
    anchors_yxhw: np.ndarray
    coded: bool
    best_only: bool
    top_k: int | None
    clipped: bool


def post_process_of(options: DecodeOptions, spec: AnchorSpec, num_classes: int) -> PostProcess:
    """The `PostProcess` that does what these options say.

    Args:
        options: the `DecodeOptions`.
        spec: the `AnchorSpec`.
        num_classes: without background.

    Raises:
        ExportError: the operation has no rule for an option; all such options are named.
    """
    refuse_what_it_cannot_do(options)
    candidates, per_class, total = options.sizes(spec.num_anchors, num_classes)
    coded = options.code_type == "center_size" and options.clip_boxes != "before"
    anchors = spec.anchors_cxcywh()[:, [1, 0, 3, 2]]
    scales = (1.0,) * 4 if options.variance_encoded_in_target or not coded else tuple(1 / v for v in spec.variances)
    settings = {
        "max_detections": total,
        "max_classes_per_detection": 1,
        "detections_per_class": per_class,
        "use_regular_nms": not options.class_agnostic,
        "nms_score_threshold": _just_above(options.floor),
        "nms_iou_threshold": float(options.iou_threshold),
        "num_classes": num_classes,
        **{f"{side}_scale": float(scale) for side, scale in zip("xywh", scales, strict=True)},
    }
    return PostProcess(
        settings,
        anchors.astype(np.float32) if coded else np.tile(np.asarray(IMAGE_AS_ANCHOR, np.float32), (len(anchors), 1)),
        coded,
        options.class_agnostic,
        candidates if candidates < spec.num_anchors else None,
        options.clip_boxes is True,
    )


def refuse_what_it_cannot_do(options: DecodeOptions) -> None:
    """Raises ExportError that names every option of decoding for which the operation has no rule."""
    reasons = {
        f"eta={options.eta}": options.eta < 1,
        "average_boxes=True": options.average_boxes,
        "iou_threshold=0": options.iou_threshold == 0,
    }
    wrong = [reason for reason, is_so in reasons.items() if is_so]
    if wrong:
        raise ExportError(
            f"{NAME}, the operation that suppresses in TensorFlow Lite files, cannot do what this model's decoding "
            f"asks for: {', '.join(wrong)}. Export without suppression, or decode by other options."
        )


def _just_above(floor: float) -> float:
    """The threshold for "at least" that does what "more than" does for the floor: the next float32."""
    return float(np.nextafter(np.float32(floor), np.float32(np.inf)))
