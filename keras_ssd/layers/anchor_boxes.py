"""The layer that joins the heads' maps with their anchors into one predictions tensor."""

import copy
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.anchors import AnchorSpec
from keras_ssd.box_coder import Predictions
from keras_ssd.calling import checked_arguments
from keras_ssd.layers.single_precision import in_float32


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class AnchorBoxes(keras.layers.Layer):
    """Flattens the heads' maps level by level and appends each anchor and its variances.

    It is part of the model, so a decoder needs no anchor parameters and always uses the network's own anchors. It
    refuses feature maps whose grids differ from the spec's. The spec is stored as plain data in the layer's config, so
    a reloaded model has bit-identical anchors. Coordinates are float32 for every dtype policy.

    Args:
        spec: an `AnchorSpec`, or the dictionary of its `to_dict`.
        about: other facts of the detector, as plain data: class names, decoding, ... An `SSD` stores them here, too,
            because Keras passes only layers on to a model that it clones.
        **kwargs: of `keras.layers.Layer`. The layer computes in float32 for every `dtype`.

    Call arguments:
        confidence_maps: list of (B, H, W, boxes * (C + 1)), one per level, class fastest, background first.
        offset_maps: list of (B, H, W, boxes * 4), one per level.

    Output: (B, N, C + 1 + 12) float32, see `keras_ssd.box_coder.Predictions`.

    Raises:
        ValueError: the maps differ from the spec in number, grid or channels.

    Example:
        >>> predictions = AnchorBoxes(spec)([conf_a, conf_b], [loc_a, loc_b])
    """

    def __init__(self, spec: AnchorSpec | Mapping[str, Any], *, about: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**in_float32(kwargs))
        self.about = dict(about or {})
        self.spec = spec if isinstance(spec, AnchorSpec) else AnchorSpec.from_dict(spec)
        anchors = self.spec.anchors_cxcywh()
        variances = np.broadcast_to(np.asarray(self.spec.variances, np.float32), anchors.shape)
        self._columns = np.concatenate([anchors, variances], axis=1)  # (N, 8)

    def build(self, confidence_maps_shape: Any, offset_maps_shape: Any) -> None:
        self._num_columns(confidence_maps_shape, offset_maps_shape)
        super().build((confidence_maps_shape, offset_maps_shape))

    def _num_columns(self, confidence_shapes, offset_shapes):
        """Class columns (background included), after checking every map against the spec."""
        levels = self.spec.levels
        if not len(confidence_shapes) == len(offset_shapes) == len(levels):
            raise ValueError(
                f"AnchorBoxes needs {len(levels)} confidence maps and as many offset maps, one for each level of its "
                f"spec. Received: {len(confidence_shapes)} and {len(offset_shapes)}."
            )
        found = set()
        for index, level in enumerate(levels):
            confidence, offsets = tuple(confidence_shapes[index]), tuple(offset_shapes[index])
            for kind, shape in (("confidence", confidence), ("offset", offsets)):
                if shape[1:3] != level.grid_hw:
                    raise ValueError(
                        f"The {kind} map of level {index} has the grid {shape[1:3]}, and the anchors of that level are "
                        f"made for {level.grid_hw} (height, width). Build the AnchorSpec for this image size."
                    )
            boxes = level.boxes_per_cell
            if offsets[3] != boxes * 4 or confidence[3] % boxes or confidence[3] < boxes * 2:
                raise ValueError(
                    f"Level {index} has {boxes} boxes per cell: its offset map needs {boxes * 4} channels, its "
                    f"confidence map {boxes} times the classes with background. "
                    f"Received: {offsets[3]} and {confidence[3]}."
                )
            found.add(confidence[3] // boxes)
        if len(found) > 1:
            raise ValueError(f"All levels need the same number of classes. Received: {sorted(found)}")
        return found.pop()

    def call(self, confidence_maps: Any, offset_maps: Any) -> Any:
        batch = ops.shape(offset_maps[0])[0]
        num_columns = confidence_maps[0].shape[-1] // self.spec.levels[0].boxes_per_cell

        def flatten(maps, width):
            parts = [
                ops.reshape(ops.cast(m, "float32"), (batch, level.num_anchors, width))
                for m, level in zip(maps, self.spec.levels, strict=True)
            ]
            return ops.concatenate(parts, axis=1)

        columns = ops.convert_to_tensor(self._columns, "float32")[None]  # (1, N, 8)
        columns = ops.broadcast_to(columns, (batch, *self._columns.shape))
        return Predictions(
            flatten(confidence_maps, num_columns),  # (B, N, C + 1)
            flatten(offset_maps, 4),  # (B, N, 4)
            columns[..., :4],
            columns[..., 4:],
        ).join(ops)

    def compute_output_shape(self, confidence_maps_shape: Any, offset_maps_shape: Any) -> tuple[Any, ...]:
        num_columns = self._num_columns(confidence_maps_shape, offset_maps_shape)
        batch = confidence_maps_shape[0][0]
        return (batch, self.spec.num_anchors, Predictions.width(num_columns - 1))

    def compute_output_spec(self, confidence_maps: Any, offset_maps: Any) -> Any:
        shape = self.compute_output_shape([m.shape for m in confidence_maps], [m.shape for m in offset_maps])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        about = {"about": copy.deepcopy(self.about)} if self.about else {}
        return {**super().get_config(), "spec": self.spec.to_dict(), **about}
