"""What a TensorFlow Lite file says of itself, as MediaPipe and Android's tools read it.

The description is a flatbuffer in the buffer `TFLITE_METADATA`; the files that it names, such as the list of labels,
are in a zip archive behind the model. The places of fields are those of the schema.

Source: mediapipe, mediapipe/tasks/metadata/metadata_schema.fbs.
"""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

from keras_ssd.exporting.tflite.tables import Number, Table, write_flatbuffer
from keras_ssd.file_metadata import KEY, TFLITE_DETECTION, FileMetadata

BUFFER = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER = "1.0.0"  # the oldest version of the schema that has all fields written here
LABELS, DESCRIPTION = "labels.txt", f"{KEY}.json"
DESCRIPTIONS, VALUE_LABELS, AXIS_LABELS = 1, 3, 2  # AssociatedFileType
FEATURE, IMAGE, BOX = 1, 2, 3  # ContentProperties
NORMALIZATION, THRESHOLDING = 1, 3  # ProcessUnitOptions
RGB, BOUNDARIES = 1, 1  # ColorSpaceType, BoundingBoxType
LEFT_TOP_RIGHT_BOTTOM = (1, 0, 3, 2)  # where these are in a box of the file, [ymin, xmin, ymax, xmax]
DETECTIONS = ("location", "category", "score", "number of detections")  # MediaPipe finds the outputs by these names


def tflite_metadata(told: FileMetadata) -> bytes:
    """The flatbuffer of metadata.

    Args:
        told: the `FileMetadata`.
    """
    outputs = _detections(told) if told.output == TFLITE_DETECTION else _tables()
    groups = {8: [Table({0: "detection_result", 1: list(DETECTIONS[:3])})]} if len(outputs) == 4 else {}
    graph = Table({2: [_image(told)], 3: outputs, **groups})
    described = "Detects " + ", ".join(told.class_names[:20]) + (", ..." if len(told.class_names) > 20 else ".")
    model = {
        0: told.name,
        1: described,
        2: f"keras_ssd {told.keras_ssd_version}",
        3: [graph],
        6: [_file(DESCRIPTION, "What keras_ssd knows of the model.", DESCRIPTIONS)],
        7: PARSER,
    }
    return write_flatbuffer(Table(model | ({5: told.licence} if told.licence else {})), IDENTIFIER)


def with_files(data: bytes, told: FileMetadata) -> bytes:
    """A file with the list of labels and the package's own description behind it."""
    files: Mapping[str, str] = {LABELS: "\n".join(told.class_names) + "\n", DESCRIPTION: told.to_json()}
    stream = io.BytesIO(data)
    # Without compression: MediaPipe reads no other archive.
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8"))
    return stream.getvalue()


def _image(told):
    height, width = told.input_size
    size = Table({0: Number("Uint32", width), 1: Number("Uint32", height)})
    space = {0: Number("Int8", RGB)} if told.channels == "rgb" else {}
    # The network subtracts its mean by itself, so that (x - 0) / 1 is what it takes.
    straight = Table({0: _floats(0), 1: _floats(1)})
    return Table(
        {
            0: "image",
            1: f"Image of {width} x {height} pixels, {told.channels.upper()}, 0 to 255.",
            3: Table({0: Number("Uint8", IMAGE), 1: Table({**space, 1: size})}),
            4: [Table({0: Number("Uint8", NORMALIZATION), 1: straight})],
            5: Table({0: _floats(255), 1: _floats(0)}),
        }
    )


def _detections(told):
    index = np.asarray(LEFT_TOP_RIGHT_BOTTOM, np.uint32)
    box = Table({0: index, 1: Number("Int8", BOUNDARIES), 2: Number("Int8", 0)})
    location, category, score, number = DETECTIONS
    threshold = told.confidence if told.confidence is not None else told.decoding.get("confidence_threshold")
    limit = Table({0: Number("Float32", threshold or 0.0)})
    rows = Table({0: Number("Int32", 2), 1: Number("Int32", 2)})
    return [
        Table(
            {
                0: location,
                1: "Boxes [ymin, xmin, ymax, xmax], fractions of the image.",
                3: Table({0: Number("Uint8", BOX), 1: box, 2: rows}),
            }
        ),
        Table(
            {
                0: category,
                1: "Classes, as lines of the list of labels.",
                3: Table({0: Number("Uint8", FEATURE), 1: Table({}), 2: rows}),
                6: [_file(LABELS, "Names of the classes.", VALUE_LABELS)],
            }
        ),
        Table(
            {
                0: score,
                1: "Scores, 0 to 1.",
                3: Table({0: Number("Uint8", FEATURE), 1: Table({}), 2: rows}),
                4: [Table({0: Number("Uint8", THRESHOLDING), 1: limit})],
            }
        ),
        Table({0: number, 1: "How many rows are used.", 3: Table({0: Number("Uint8", FEATURE), 1: Table({})})}),
    ]


def _tables():
    feature = Table({0: Number("Uint8", FEATURE), 1: Table({})})
    return [
        Table({0: "boxes", 1: "Boxes [xmin, ymin, xmax, ymax] of all anchors, fractions of the image.", 3: feature}),
        Table(
            {
                0: "scores",
                1: "Scores of all anchors and classes.",
                3: feature,
                6: [_file(LABELS, "Names of the classes.", AXIS_LABELS)],
            }
        ),
    ]


def _file(name, description, kind):
    return Table({0: name, 1: description, 2: Number("Int8", kind)})


def _floats(value):
    return np.asarray([value], np.float32)
