"""What `keras_ssd.export` has written."""

from dataclasses import dataclass
from pathlib import Path

from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporting.parity import Parity
from keras_ssd.file_metadata import FileMetadata


@dataclass(frozen=True)
class Written:
    """What the module of a format wrote.

    Args:
        metadata: the description in the file.
        notes: sentences that the user should read, such as layers that were left in float.
    """

    metadata: FileMetadata
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """A written file and how it compares with its model; `print` it.

    Args:
        path: of the file, or of the folder.
        files: everything that was written, `path` first.
        size: bytes of all files.
        metadata: the description in the file.
        parity: how its detections compare with the model's; None where nothing here runs the format.
        notes: sentences that the user should read.
        ap: (AP of the model, AP of the file) on annotated images; None without them.
    """

    path: Path
    files: tuple[Path, ...]
    size: int
    metadata: FileMetadata
    parity: Parity | None
    notes: tuple[str, ...] = ()
    ap: tuple[float, float] | None = None

    def __str__(self) -> str:
        lines = [f"{', '.join(map(str, self.files))}: {_megabytes(self.size)}"]
        if self.parity is not None:
            lines.append(str(self.parity))
        elif not self.notes:
            lines.append("not compared with the model: its runtime is not installed, see pip install 'keras-ssd[fast]'")
        lines += self.notes
        if self.ap is not None:
            lines.append(f"AP of the model {self.ap[0]:.4f}, of the file {self.ap[1]:.4f}")
        return "\n".join(lines)


class ParityError(ExportError):
    """A file that does not answer as its model does. `exported` is the `Exported` of the file under its other name."""

    def __init__(self, exported: Exported):
        self.exported = exported
        super().__init__(
            f"The file does not answer as the model does. It was kept as {exported.path} to be looked at.\n{exported}"
        )


def _megabytes(size):
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
