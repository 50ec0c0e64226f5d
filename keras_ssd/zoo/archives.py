"""Extracts one file from a downloaded archive, which is not trusted.

Only the wanted member is written, to a path that the caller chose. Names in the archive never become paths.
"""

import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, cast

from keras_ssd.zoo.errors import IntegrityError

CHUNK = 1 << 20
MAX_MEMBERS = 10_000
# What the standard library raises for damaged archives; RuntimeError is an encrypted zip.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError)


class _Bounded:
    """A stream of at most `limit` bytes: a small archive may unpack to terabytes."""

    def __init__(self, stream, limit):
        self._stream = stream
        self._left = limit

    def read(self, size=-1):
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise IntegrityError("the archive unpacks to more than is allowed")
        return data


def extract(archive: Path, member: str, target: Path, max_bytes: int) -> None:
    """Writes one member of a tar, tar.gz or zip archive to `target`, which is deleted again if anything fails.

    `member` is its path in the archive, or its file name if only one member has it. The archive may unpack to at most
    `max_bytes`.

    Raises:
        IntegrityError: the file is not an archive or damaged; or the member is missing, not unique, a link, too large,
            or named with an absolute path or `..`.
    """
    try:
        with open(target, "wb") as out:
            if zipfile.is_zipfile(archive):
                _from_zip(archive, member, out, max_bytes)
            else:
                _from_tar(archive, member, out, max_bytes)
    except DAMAGE as error:
        target.unlink(missing_ok=True)
        raise IntegrityError(f"the archive is damaged or no archive: {error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _is_wanted(name, member):
    """Whether an entry is the wanted one; a wanted one with a dangerous path is an attack, not a typo."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.name != PurePosixPath(member).name:
        return False
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise IntegrityError(f"the archive is not to be trusted: it holds the path {name!r}")
    return "/" not in member or parts == PurePosixPath(member)


def _one(found, member):
    if not found and member.endswith(".prototxt"):
        raise IntegrityError(
            f"the archive holds no {member!r}, which describes the network; without it the weights cannot be loaded"
        )
    if found != 1:
        raise IntegrityError(f"the archive holds {found} files called {member!r}; exactly one was expected")


def _copy(stream, out, max_bytes):
    bounded = _Bounded(stream, max_bytes)
    while chunk := bounded.read(CHUNK):
        out.write(chunk)


def _from_zip(archive, member, out, max_bytes):
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        if len(infos) > MAX_MEMBERS:
            raise IntegrityError(f"the archive holds {len(infos)} members; at most {MAX_MEMBERS} are read")
        wanted = [info for info in infos if not info.is_dir() and _is_wanted(info.filename, member)]
        _one(len(wanted), member)
        if wanted[0].external_attr >> 16 & 0o170000 == 0o120000:
            raise IntegrityError(f"{member!r} is a link in the archive, not a file")
        with file.open(wanted[0]) as stream:
            _copy(stream, out, max_bytes)


def _from_tar(archive, member, out, max_bytes):
    found = 0
    with open(archive, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        # "r|" reads forward once; headers and skipped members count against the bound as well.
        with tarfile.open(fileobj=cast(IO[bytes], _Bounded(stream, max_bytes)), mode="r|") as file:
            for number, info in enumerate(file):
                if number >= MAX_MEMBERS:
                    raise IntegrityError(f"the archive holds more than {MAX_MEMBERS} members")
                if info.isdir() or not _is_wanted(info.name, member):
                    continue
                if not info.isreg():
                    raise IntegrityError(f"{member!r} is a link or a device in the archive, not a file")
                found += 1
                _one(found, member)
                _copy(file.extractfile(info), out, max_bytes)
    _one(found, member)
