"""The layer that turns raw predictions into detections."""

from typing import Any

import keras
from keras import ops

from keras_ssd.box_coder import Predictions
from keras_ssd.calling import checked_arguments
from keras_ssd.decoding import DecodeOptions, decode_predictions
from keras_ssd.layers.single_precision import in_float32


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class DecodeDetections(keras.layers.Layer):
    """Decodes, thresholds, suppresses, and keeps the best: Caffe's DetectionOutput.

    The order is the original's: softmax; decode; drop scores not above the threshold; per class the `top_k` best
    *before* suppression; suppression per class; the `keep_top_k` best over all classes. Everything is computed in
    float32 for every dtype policy.

    Args:
        from_logits: the class columns are raw scores; False for tensors after a softmax (ssd_keras), which is the same
            as `scores="probabilities"`.
        confidence_threshold and those after it: the fields of `keras_ssd.DecodeOptions`, with its defaults.
        **kwargs: of `keras.layers.Layer`. Coordinates and scores are float32 for every `dtype`.

    Input: raw predictions (B, N, C + 1 + 12), see `keras_ssd.box_coder.Predictions`.

    Output: (B, K, 6) float32 rows [class id 0..C-1, score, xmin, ymin, xmax, ymax] by descending score, boxes as
    fractions of the image; unused rows have class -1 and score 0.

    Raises:
        ValueError: an option outside its range.
        TypeError: an unknown option.

    Example:
        >>> detections = keras_ssd.layers.DecodeDetections(confidence_threshold=0.5)(model.output)

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/detection_output_layer.cpp.
    """

    def __init__(
        self,
        *,
        from_logits: bool = True,
        confidence_threshold: float | None = DecodeOptions.confidence_threshold,
        iou_threshold: float = DecodeOptions.iou_threshold,
        top_k: int | None = DecodeOptions.top_k,
        keep_top_k: int | None = DecodeOptions.keep_top_k,
        max_per_class: int | None = DecodeOptions.max_per_class,
        eta: float = DecodeOptions.eta,
        class_agnostic: bool = DecodeOptions.class_agnostic,
        average_boxes: bool = DecodeOptions.average_boxes,
        code_type: str = DecodeOptions.code_type,
        variance_encoded_in_target: bool = DecodeOptions.variance_encoded_in_target,
        clip_boxes: bool | str = DecodeOptions.clip_boxes,
        scores: str = DecodeOptions.scores,
        temperature: float = DecodeOptions.temperature,
        score_shift: float = DecodeOptions.score_shift,
        **kwargs: Any,
    ):
        super().__init__(**in_float32(kwargs))
        self.from_logits = bool(from_logits)
        self.options = DecodeOptions(
            confidence_threshold,
            iou_threshold,
            top_k,
            keep_top_k,
            max_per_class,
            eta,
            class_agnostic,
            average_boxes,
            code_type,
            variance_encoded_in_target,
            clip_boxes,
            scores,
            temperature,
            score_shift,
        )

    def call(self, predictions: Any) -> Any:
        return decode_predictions(ops.cast(predictions, "float32"), self.options, from_logits=self.from_logits)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        num_classes = Predictions.classes_in(input_shape[-1])
        if input_shape[1] is None or num_classes < 1:
            raise ValueError(
                "DecodeDetections needs raw predictions (B, N, C + 1 + 12) with a fixed number of anchors N. "
                f"Received: shape={input_shape}"
            )
        return (input_shape[0], self.options.sizes(input_shape[1], num_classes)[2], 6)

    def compute_output_spec(self, predictions: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(predictions.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, **vars(self.options)}
