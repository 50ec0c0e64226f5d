"""Annotations -> targets: what each anchor of a model should predict for an image with these objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_ssd import box_coder, fastpaths
from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorSpec
from keras_ssd.box_coder import BACKGROUND, NEUTRAL, Predictions, Targets
from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections
from keras_ssd.drawing import draw_detections
from keras_ssd.matching import Matches, MatchRules, float64, match, match_in_graph
from keras_ssd.matching.arrays import AnchorOverlaps
from keras_ssd.matching.objects import PADDING, checked_objects

CODE_OPTIONS = ("code_type", "variance_encoded_in_target")


@dataclass(frozen=True, eq=False)
class DecodedTargets:
    """The boxes of the targets of one image, one row per anchor with an object.

    Args:
        boxes_xyxy: (P, 4) fractions of the image.
        class_ids: (P,) 0..C-1.
        anchors: (P,) indices of the anchors.
    """

    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    anchors: np.ndarray

    def distinct(self, tolerance: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
        """The objects themselves: (boxes_xyxy, class_ids), each once, in the order of their first anchors.

        Boxes of one class whose corners are within `tolerance` of each other count as the same object.
        """
        kept = []
        for row, (box, class_id) in enumerate(zip(self.boxes_xyxy, self.class_ids, strict=True)):
            known = self.class_ids[kept] == class_id
            if not np.any(known & (np.abs(self.boxes_xyxy[kept] - box).max(axis=1, initial=0) <= tolerance)):
                kept.append(row)
        return self.boxes_xyxy[kept], self.class_ids[kept]


@checked_arguments
class TargetEncoder:
    """Encodes the objects of images as the targets of a model's predictions.

    It works on the host (`encode`, `encode_batch`: numpy, thread-safe) and in graphs (`encode_in_graph`: `keras.ops`,
    for `tf.data` or a GPU); both match the same anchors to the same objects.

    Args:
        spec: the model's `AnchorSpec`.
        num_classes: classes without background.
        rules: `MatchRules`; None for the original SSD's.
        use_difficult: whether objects marked difficult are objects (Caffe for VOC) or left out (Caffe for COCO).
        code_type, variance_encoded_in_target: how offsets are coded, see `keras_ssd.box_coder.encode`.

    Raises:
        ValueError: `num_classes` below 1, or an unknown code type.
        TypeError: `spec` is not an `AnchorSpec`, or `rules` are not `MatchRules`.

    Example:
        >>> encoder = TargetEncoder.from_model(model)
        >>> encoder.encode([[0.1, 0.1, 0.6, 0.9]], [14]).shape
        (8732, 5)
    """

    spec: AnchorSpec
    num_classes: int
    rules: MatchRules
    use_difficult: bool

    def __init__(
        self,
        spec: AnchorSpec,
        num_classes: int,
        rules: MatchRules | None = None,
        *,
        use_difficult: bool = True,
        code_type: str = "center_size",
        variance_encoded_in_target: bool = False,
    ) -> None:
        rules = rules or MatchRules()
        if not isinstance(spec, AnchorSpec):
            raise TypeError(
                f"`spec` must be an AnchorSpec; `TargetEncoder.from_model` takes a model. Received: spec={spec!r}"
            )
        if not isinstance(rules, MatchRules):
            raise TypeError(f"`rules` must be a MatchRules, such as MatchRules('caffe'). Received: rules={rules!r}")
        if isinstance(num_classes, bool) or int(num_classes) != num_classes or num_classes < 1:
            raise ValueError(
                "`num_classes` must be a whole number from 1 on, background not counted. "
                f"Received: num_classes={num_classes!r}"
            )
        box_coder.check_code_type(code_type)
        self.spec, self.num_classes, self.rules = spec, int(num_classes), rules
        self.use_difficult = bool(use_difficult)
        self._code = {"code_type": code_type, "variance_encoded_in_target": variance_encoded_in_target}
        corners = float64.corners(spec) if rules.float64 else spec.anchors_xyxy()
        self._overlaps = AnchorOverlaps(corners, rules, spec.levels)
        self._anchors = spec.anchors_cxcywh()
        self._variances = np.asarray(spec.variances, np.float32)

    @classmethod
    @checked_arguments
    def from_model(
        cls,
        model: Any,
        rules: MatchRules | None = None,
        *,
        use_difficult: bool = True,
        code_type: str | None = None,
        variance_encoded_in_target: bool | None = None,
    ) -> "TargetEncoder":
        """The encoder whose targets fit a model's predictions.

        Args:
            model: an `SSD`.
            rules, use_difficult: as of `TargetEncoder`.
            code_type, variance_encoded_in_target: how offsets are coded; None is as in the model's `decoding`.

        Raises:
            TypeError: the model does not know its anchors.
        """
        if not (hasattr(model, "anchor_spec") and hasattr(model, "num_classes")):
            raise TypeError(
                "A TargetEncoder is made from a model of keras_ssd, which knows its anchors; for another model give "
                "its AnchorSpec: TargetEncoder(spec, num_classes). keras_ssd.SSD(m.inputs[0], m.outputs[0]) makes a "
                f"detector again of one that was wrapped in keras.Model. Received: model={model!r}"
            )
        own = {name: value for name, value in getattr(model, "decoding", {}).items() if name in CODE_OPTIONS}
        given = {"code_type": code_type, "variance_encoded_in_target": variance_encoded_in_target}
        own |= {name: value for name, value in given.items() if value is not None}
        return cls(model.anchor_spec, model.num_classes, rules, use_difficult=use_difficult, **own)

    @checked_arguments
    def encode(self, boxes_xyxy: Any, class_ids: Any, difficult: Any = None) -> np.ndarray:
        """The targets of one image.

        Args:
            boxes_xyxy: (M, 4) objects, fractions of the image, xmin < xmax and ymin < ymax.
            class_ids: (M,) 0..C-1, without background; -1 for padding, with any box.
            difficult: (M,) bool, which objects are difficult; None for none.

        Returns:
            (N, 5) float32 [class id 1..C, background 0, neutral -1 | offsets], see `keras_ssd.box_coder.Targets`.

        Raises:
            ValueError: arrays that do not fit together, a box without area or not of finite numbers, a class id
                outside its range, boxes in pixels.
            TypeError: class ids that are not numbers.
        """
        targets = np.zeros((self.spec.num_anchors, box_coder.NUM_TARGET_COLUMNS), np.float32)
        self._fill(targets, self._checked(boxes_xyxy, class_ids, difficult))
        return targets

    @checked_arguments
    def encode_batch(self, boxes_xyxy: Any, class_ids: Any, difficult: Any = None) -> np.ndarray:
        """The targets (B, N, 5) of several images, each with as many objects as it has; arguments are lists of those
        of `encode`, or padded arrays (B, M, 4), (B, M), (B, M).

        Raises:
            ValueError: as `encode`, with the image's place in the batch; lists of different lengths.
        """
        difficult = [None] * len(boxes_xyxy) if difficult is None else difficult
        if not len(boxes_xyxy) == len(class_ids) == len(difficult):
            raise ValueError(
                "Boxes, class ids and difficult marks must be given for the same number of images. "
                f"Received: {len(boxes_xyxy)}, {len(class_ids)}, {len(difficult)}"
            )
        targets = np.zeros((len(boxes_xyxy), self.spec.num_anchors, box_coder.NUM_TARGET_COLUMNS), np.float32)
        for index, objects in enumerate(zip(boxes_xyxy, class_ids, difficult, strict=True)):
            self._fill(targets[index], self._checked(*objects, where=f"Image {index} of the batch: "))
        return targets

    @checked_arguments
    def match(self, boxes_xyxy: Any, class_ids: Any, difficult: Any = None) -> Matches:
        """How the objects of one image match; arguments as of `encode`.

        Returns:
            `keras_ssd.matching.Matches`. `matches.unmatched` are the objects that the targets do not show.

        Example:
            >>> encoder.match(boxes, class_ids).unmatched
            array([3])
        """
        return self._match(*self._checked(boxes_xyxy, class_ids, difficult))

    def draw(
        self, image: Any, boxes_xyxy: Any, class_ids: Any, objects: Any = None, class_names: Sequence[str] | None = None
    ) -> Any:
        """Draws the anchors that are matched to each object: objects as bold boxes, their anchors as thin ones.

        Each object's label has its number of anchors, and its highest IoU with any.

        Args:
            image: (H, W, 3) uint8.
            boxes_xyxy, class_ids: as of `encode`.
            objects: indices of the objects to draw; None for all.
            class_names: C names for the labels; None for numbers.

        Returns:
            A PIL image.

        Example:
            >>> encoder.draw(image, boxes, class_ids, objects=[0]).save("anchors.png")
        """
        boxes, class_ids = self._checked(boxes_xyxy, class_ids, None)
        found = self._match(boxes, class_ids)
        chosen = np.flatnonzero(class_ids != PADDING)
        if objects is not None:
            chosen = np.intersect1d(chosen, objects)
        names = [str(each) for each in (range(self.num_classes) if class_names is None else class_names)]
        counts = enumerate(zip(class_ids, found.counts, strict=True))
        labels = tuple(f"{i} {names[c]}: {n} anchors" for i, (c, n) in counts)
        size_hw = np.shape(image)[:2]
        anchors = np.flatnonzero(np.isin(found.object_of_anchor, chosen))
        owners = found.object_of_anchor[anchors]
        thin = bx.scale(self.spec.anchors_xyxy()[anchors], size_hw), np.ones(len(anchors)), owners
        bold = bx.scale(boxes[chosen], size_hw), found.best_iou[chosen], chosen
        canvas = draw_detections(image, Detections(*thin, labels, size_hw), line_width=1, labels=False)
        return draw_detections(np.asarray(canvas), Detections(*bold, labels, size_hw))

    def encode_in_graph(self, boxes_xyxy: Any, class_ids: Any, difficult: Any = None) -> Any:
        """The targets of a batch, in `keras.ops` and with static shapes.

        Class ids are the caller's duty here, since a graph cannot raise; boxes without area count as padding.

        Args:
            boxes_xyxy: (B, M, 4) objects, fractions of the image; M is fixed.
            class_ids: (B, M) 0..C-1, or -1 for padding, whose box may be anything.
            difficult: (B, M) bool, or None for none.

        Returns:
            (B, N, 5) float32, as of `encode_batch`.
        """
        boxes = ops.cast(boxes_xyxy, "float32")
        if len(boxes.shape) != 3 or boxes.shape[1] is None or boxes.shape[2] != 4:
            raise ValueError(
                "Boxes must have the shape (B, M, 4) with a fixed M; pad images with fewer objects by rows of class "
                f"id {PADDING}. Received: shape={tuple(boxes.shape)}"
            )
        class_ids = ops.cast(class_ids, "int32")
        if difficult is not None and not self.use_difficult:
            class_ids = ops.where(ops.cast(difficult, "bool"), PADDING, class_ids)
        if boxes.shape[1] == 0:
            boxes, class_ids = ops.pad(boxes, [[0, 0], [0, 1], [0, 0]]), ops.pad(class_ids, [[0, 0], [0, 1]])
        valid = ops.logical_and(class_ids >= 0, ops.all(boxes[..., 2:] > boxes[..., :2], axis=-1))
        owner, neutral = match_in_graph(boxes, valid, self.spec.anchors_xyxy(), self.rules)  # (B, N)
        positive, place = owner >= 0, fastpaths.at_least(owner, 0)
        anchors = ops.convert_to_tensor(self._anchors, "float32")
        boxes = ops.take_along_axis(boxes, ops.repeat(place[..., None], 4, axis=-1), axis=1)  # (B, N, 4)
        boxes = ops.where(positive[..., None], boxes, bx.cxcywh_to_xyxy(anchors, ops))
        offsets = box_coder.encode(
            boxes, anchors, ops.convert_to_tensor(self._variances, "float32"), xp=ops, **self._code
        )
        class_ids = ops.take_along_axis(class_ids, place, axis=1) + 1
        class_ids = ops.where(positive, class_ids, ops.where(neutral, NEUTRAL, BACKGROUND))
        return Targets(class_ids, ops.where(positive[..., None], offsets, 0.0)).join(ops)

    def one_hot(self, targets: Any, xp: Any = np) -> Any:
        """Targets (..., N, 5) as ssd_keras has them, (..., N, C + 1 + 12).

        The columns are [one-hot class, background first | offsets | anchors cxcywh | variances]; a neutral anchor has
        no class at all.
        """
        parts = Targets.split(targets, xp)
        columns = xp.arange(self.num_classes + 1, dtype=targets.dtype)
        boxes = [xp.broadcast_to(xp.array(each), parts.offsets.shape) for each in (self._anchors, self._variances)]
        classes = parts.class_ids[..., None] == columns
        classes = classes.astype(targets.dtype) if xp is np else xp.cast(classes, targets.dtype)
        return Predictions(classes, parts.offsets, *boxes).join(xp)

    def decode(self, targets: Any) -> DecodedTargets:
        """The boxes of targets: the result of a network that predicts them perfectly.

        Args:
            targets: (N, 5) of one image, or (N, C + 1 + 12) of `one_hot`.

        Returns:
            `DecodedTargets`, in which an object occurs once per matched anchor; `distinct` lists each once.
        """
        targets = np.asarray(targets)
        if targets.ndim != 2 or len(targets) != self.spec.num_anchors:
            raise ValueError(
                f"`targets` must be those of one image, (N, 5) with N={self.spec.num_anchors}. "
                f"Received: shape={targets.shape}"
            )
        parts = Targets.split(targets)
        anchors = np.flatnonzero(parts.class_ids > BACKGROUND)
        boxes = box_coder.decode(parts.offsets[anchors], self._anchors[anchors], self._variances, **self._code)
        return DecodedTargets(boxes, parts.class_ids[anchors].astype(np.int64) - 1, anchors)

    def _match(self, boxes, class_ids):
        objects = np.flatnonzero(class_ids != PADDING)
        if len(objects) == len(boxes):
            return match(boxes, self._overlaps, self.rules)
        found = match(boxes[objects], self._overlaps, self.rules)
        owner = np.append(objects, -1)[found.object_of_anchor].astype(np.int32)
        best_iou = np.zeros(len(boxes), found.best_iou.dtype)
        best_iou[objects] = found.best_iou
        return Matches(owner, found.neutral, best_iou)

    def _fill(self, targets, objects):
        boxes, class_ids = objects
        found = self._match(boxes, class_ids)
        anchors = np.flatnonzero(found.object_of_anchor >= 0)
        owners = found.object_of_anchor[anchors]
        offsets = box_coder.encode(boxes[owners], self._anchors[anchors], self._variances, **self._code)
        targets[anchors] = Targets(class_ids[owners] + 1, offsets).join()
        neutral = np.flatnonzero(found.neutral)
        targets[neutral] = Targets(np.full(len(neutral), NEUTRAL), np.zeros((len(neutral), 4), np.float32)).join()

    def _checked(self, boxes_xyxy, class_ids, difficult, where=""):
        """Boxes (M, 4) and class ids (M,), difficult ones left out if they are to be."""
        boxes, class_ids = checked_objects(boxes_xyxy, class_ids, self.num_classes, self._overlaps.dtype, where)
        if difficult is None:
            return boxes, class_ids
        difficult = np.asarray(difficult, bool)
        if difficult.shape != class_ids.shape:
            raise ValueError(
                f"{where}`difficult` must have one mark for each of the {len(class_ids)} objects. "
                f"Received: shape={difficult.shape}"
            )
        return boxes, class_ids if self.use_difficult else np.where(difficult, PADDING, class_ids)
