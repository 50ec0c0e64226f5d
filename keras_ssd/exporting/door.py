"""`export`: one door to every format."""

import os
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.exporting.checking import checked
from keras_ssd.exporting.formats import format_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.placing import other_name, place, size_of, workshop
from keras_ssd.exporting.written import Exported, ParityError, Written
from keras_ssd.models.wrapping import as_detector


@checked_arguments
def export(
    model: Any,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    suppression: bool | str = True,
    batch: int | None = None,
    channels: str = "rgb",
    precision: str = "float32",
    calibrate: Any = None,
    check: Any = None,
    licence: str | None = None,
) -> Exported:
    """Writes a detector as one file that another program runs, and shows that the file answers as the model does.

    The file takes images in 0..255 and gives detections. It describes itself: class names, input size, preprocessing,
    thresholds and licence are in its metadata. It is run in its own runtime beside the model, and gets its name when
    the detections agree.

    Args:
        model: an `SSD`, of raw predictions or `with_decoder`, whose suppression is then the file's.
        path: of the file, in an existing folder; its ending tells the format.
        format: the name of the format, where the ending does not tell.
        suppression: True for detections (B, K, 6) as of `with_decoder`; False for the boxes and scores of all anchors;
            "tensorrt" for TensorRT's operation EfficientNMS_TRT in an ONNX file.
        batch: images at once; None for any number.
        channels: "rgb" or "bgr" for images in 0..255; "blob" or "rgb_blob" for images that the caller has subtracted
            the mean from and scaled, in BGR or RGB.
        precision: "float32", "float16" or "int8".
        calibrate: images for int8: paths, folders, arrays, as of `detect`.
        check: images to compare on, as of `detect`; None for those of `calibrate`, or else drawn ones. An annotated
            `Dataset` measures the AP of the model and of the file, too.
        licence: of the weights, for the metadata; by default that of the catalogue.

    Returns:
        An `Exported`: what was written, the measured difference, the size; `print` it.

    Raises:
        ExportError: the model has layers that the format cannot express; all are named, nothing is written.
        ParityError: the file does not answer as the model does; it is kept under another name.
        ImportError: a package is missing; the message names it.
        TypeError: no detector.
        ValueError: an argument out of range, or an option that the format does not have.
        OSError: the disk is full; what was there before stays.

    Example:
        >>> print(keras_ssd.export(model, "mine.onnx"))
    """
    path = Path(path)
    found = format_of(path, format)
    options = ExportOptions(suppression, batch, channels, precision, calibrate, licence)
    found.check(options)
    model = as_detector(model)
    with workshop(path) as made:
        module = found.load()
        written: Written = module.write(model, made, options)
        runner = module.open_file(made, written.metadata)
        parity, ap = (
            (None, None) if runner is None else checked(model, runner, calibrate if check is None else check, precision)
        )
        agrees = parity is None or parity.holds
        target = path if agrees else other_name(path)
        files = place(made, target)
    exported = Exported(target, files, size_of(files), written.metadata, parity, written.notes, ap)
    if not agrees:
        raise ParityError(exported)
    return exported
