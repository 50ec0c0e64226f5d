"""The operation `TFLite_Detection_PostProcess` for a detector: its settings, or why it cannot do the work.

It decodes offsets in the order y, x, h, w with one scale for each, keeps scores that are at least a threshold, and
suppresses each class by itself ("regular") or the best class of each anchor ("fast"). What it does not have is done by
built-in operators before and after it: other codes of boxes, clipping, a limit of candidates before suppression.

On several threads, "regular" has two faults (LiteRT 2.3.0, and TensorFlow Lite before it), which files are written
around:

- With T threads it never looks at the class at place T: its threads begin at the places 0 to T - 1 and count on from T
  before they take the next class. So unused columns stand at the places 2 to `MOST_THREADS`, and operators behind the
  operation give the classes their numbers again.
- It collects what the threads found in a list with room for `max_detections` and `detections_per_class`, where twice
  `max_detections` may come together. So the second number is never below the first, or the first is so large that all
  detections together fit, and the rows are cut afterwards.

Source: tensorflow, tensorflow/lite/kernels/detection_postprocess.cc.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.anchors import AnchorSpec
from keras_ssd.decoding import DecodeOptions
from keras_ssd.exporters.model_graph import ExportError

NAME = "TFLite_Detection_PostProcess"
NEVER_LOST = 2  # places of classes that are looked at on any number of threads
MOST_THREADS = 32
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
        rows: detections of an image; the operation may give more, which are cut off.
        unused: columns of scores that belong to no class, behind the first `NEVER_LOST` classes.
    """

    settings: dict[str, Any]
    anchors_yxhw: np.ndarray
    coded: bool
    best_only: bool
    top_k: int | None
    clipped: bool
    rows: int
    unused: int

    @property
    def threads(self) -> int:
        """On so many, and on fewer, the operation finds every class."""
        return MOST_THREADS


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
    unused = MOST_THREADS - NEVER_LOST + 1 if num_classes > NEVER_LOST and not options.class_agnostic else 0
    together, per_class = _room(total, per_class, candidates, num_classes)
    settings = {
        "max_detections": together,
        "max_classes_per_detection": 1,
        "detections_per_class": per_class,
        "use_regular_nms": not options.class_agnostic,
        "nms_score_threshold": _just_above(options.floor),
        "nms_iou_threshold": float(options.iou_threshold),
        "num_classes": num_classes + unused,
        **{f"{side}_scale": float(scale) for side, scale in zip("xywh", scales, strict=True)},
    }
    return PostProcess(
        settings,
        anchors.astype(np.float32) if coded else np.tile(np.asarray(IMAGE_AS_ANCHOR, np.float32), (len(anchors), 1)),
        coded,
        options.class_agnostic,
        candidates if candidates < spec.num_anchors else None,
        options.clip_boxes is True,
        total,
        unused,
    )


def _room(total, per_class, candidates, num_classes):
    """(`max_detections`, `detections_per_class`) with which the operation has room on several threads."""
    if per_class >= total:
        return total, per_class
    if per_class == candidates:  # what is left of a class before suppression; no more can come out
        return total, total
    return max(total, per_class * (num_classes - 1)), per_class


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
