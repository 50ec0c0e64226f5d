"""From a model of raw predictions to one of detections."""

from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.layers import DecodeDetections
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector


class _Own:
    """The value that the model itself has."""

    def __repr__(self) -> str:
        return "the model's own"


OWN: Any = _Own()


@checked_arguments
def with_decoder(
    model: SSD,
    *,
    confidence_threshold: float | None = OWN,
    iou_threshold: float = OWN,
    top_k: int | None = OWN,
    keep_top_k: int | None = OWN,
    max_per_class: int | None = OWN,
    eta: float = OWN,
    class_agnostic: bool = OWN,
    average_boxes: bool = OWN,
    code_type: str = OWN,
    variance_encoded_in_target: bool = OWN,
    clip_boxes: bool | str = OWN,
    scores: str = OWN,
    temperature: float = OWN,
    score_shift: float = OWN,
    from_logits: bool = True,
) -> SSD:
    """An end-to-end model: images in, detections out. It shares its weights with `model`; export this one.

    Args:
        model: an `SSD` of raw predictions.
        confidence_threshold and those after it: as of `keras_ssd.DecodeOptions`; what is not given is the model's own
            `final_decoding`, or else Caffe's default.
        from_logits: as of `keras_ssd.layers.DecodeDetections`.

    Returns:
        An `SSD` from (B, H, W, 3) to (B, K, 6) rows [class id, score, xmin, ymin, xmax, ymax], boxes as fractions of
        the image, unused rows with class -1.

    Raises:
        TypeError: not an `SSD`, or an unknown option.
        ValueError: the model ends in a decoder already, or an option is outside its range.

    Example:
        >>> detector = keras_ssd.with_decoder(model, confidence_threshold=0.3)
        >>> detector.save("detector.keras")
    """
    given = {name: value for name, value in locals().items() if name != "model" and value is not OWN}
    model = as_detector(model)
    if model.has_decoder:
        raise ValueError(f"Model '{model.name}' ends in a decoder already; pass the model it was made from.")
    detections = DecodeDetections(**{**model.final_decoding, **given}, name="detections")(model.outputs[0])
    names = model.class_names if model.names_classes else ()
    kept = {"class_names": names, "sources": model.sources, "decoding": model.decoding}
    return SSD(model.inputs[0], detections, name=f"{model.name}_detector", **kept)
