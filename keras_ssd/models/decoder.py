"""From a model of raw predictions to one of detections."""

from keras_ssd.layers import DecodeDetections
from keras_ssd.models.model import SSD


def with_decoder(model, **options):
    """An end-to-end model: pictures in, detections out. It shares its weights with `model`; export this one.

    Args:
        model: an `SSD` of raw predictions.
        **options: of `keras_ssd.layers.DecodeDetections`: `confidence_threshold`, `iou_threshold`, `top_k`,
            `keep_top_k`, ...; what is not named is the model's own `decoding`, or else Caffe's default.

    Returns:
        An `SSD` from (B, H, W, 3) to (B, K, 6) rows [class id, score, xmin, ymin, xmax, ymax], boxes as fractions of
        the picture, unused rows with class -1.

    Raises:
        TypeError: not an `SSD`, or an unknown option.
        ValueError: the model ends in a decoder already, or an option is outside its range.

    Example:
        >>> detector = keras_ssd.with_decoder(model, confidence_threshold=0.3)
        >>> detector.save("detector.keras")
    """
    if not isinstance(model, SSD):
        raise TypeError(f"`model` must be a keras_ssd model. Received: model={type(model).__name__}")
    if model.has_decoder:
        raise ValueError(f"Model '{model.name}' ends in a decoder already; pass the model it was made from.")
    detections = DecodeDetections(**{**model.decoding, **options}, name="detections")(model.outputs[0])
    names = model.class_names if model.names_classes else ()
    kept = {"class_names": names, "sources": model.sources}
    return SSD(model.inputs[0], detections, name=f"{model.name}_detector", **kept)
