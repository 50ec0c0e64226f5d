"""Models of this package -> files that other programs run, compared with the model.

`exporters` and `caffe.exporter` write graphs; here are the options, the description in the file, and the comparison.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_ssd.exporting.door import export as export
    from keras_ssd.exporting.written import Exported as Exported
    from keras_ssd.exporting.written import ParityError as ParityError
    from keras_ssd.file_metadata import FileMetadata as FileMetadata

# Imported when they are first asked for, because the command's help reads the table of formats without Keras.
_HOME = {
    "Exported": "keras_ssd.exporting.written",
    "FileMetadata": "keras_ssd.file_metadata",
    "ParityError": "keras_ssd.exporting.written",
    "export": "keras_ssd.exporting.door",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'keras_ssd.exporting' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
