"""The files that an export wrote, and the input that the net needs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CaffeExport:
    """The files that `to_caffe` wrote and how to use them; `str()` describes both.

    Args:
        prototxt, caffemodel: paths.
        input_blob: name of the net's input.
        input_shape: (1, channels, height, width).
        channel_order: of the input: "bgr", "rgb" or "grey".
        mean: subtracted from the pixels, 0..255; one value per channel in the net's order.
        scale: factor after the subtraction.
        outputs: names of the net's output blobs.
        parameters: number of values written.
        class_names: of the labels 1, 2, ... in the rows of detections; empty if the model is not a detector.
        notes: differences and limits, one sentence each.
    """

    prototxt: Path
    caffemodel: Path
    input_blob: str
    input_shape: tuple[int, ...]
    channel_order: str
    mean: tuple[float, ...]
    scale: float
    outputs: tuple[str, ...]
    parameters: int
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, Path]:
        """(prototxt, caffemodel), as `from_caffe(*report.files)` takes them."""
        return self.prototxt, self.caffemodel

    def __str__(self) -> str:
        height, width = self.input_shape[2:]
        mean = ", ".join(f"{value:g}" for value in self.mean)
        what = {"bgr": "BGR", "rgb": "RGB", "grey": "grey"}[self.channel_order]
        swap = ", swapRB=True" if self.channel_order == "rgb" else ""
        lines = [
            f"{self.prototxt} and {self.caffemodel}: {self.parameters:,} values.",
            f"Input '{self.input_blob}' {tuple(self.input_shape)}: {what} images of 0..255, minus ({mean}), times "
            f"{self.scale:.9g}; in OpenCV, of an image as imread gives it"
            f"{', turned grey' if self.channel_order == 'grey' else ''}:",
            f"    cv2.dnn.blobFromImage(image, {self.scale:.9g}, ({width}, {height}), ({mean}){swap})",
            f"Outputs: {', '.join(self.outputs)}.",
        ]
        if self.class_names:
            listed = ", ".join(self.class_names[:20]) + (", ..." if len(self.class_names) > 20 else "")
            lines.append(f"Labels from 1 on: {listed}.")
        return "\n".join([*lines, *self.notes])
