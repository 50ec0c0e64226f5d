"""Downloads a weight set into the cache, from the first source that delivers it complete.

A file gets its final name only after its size, checksum, format and pin have been checked. So a file with its final
name is always usable.
"""

import contextlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from keras_ssd.calling import checked_arguments
from keras_ssd.zoo import archives, cache, fetch
from keras_ssd.zoo.catalog import WeightSet, find
from keras_ssd.zoo.errors import DownloadError, IntegrityError
from keras_ssd.zoo.fetch import Policy
from keras_ssd.zoo.progress import bar


@checked_arguments
def download(
    weights: str | WeightSet,
    *,
    model: str | None = None,
    formats: Sequence[str] | None = None,
    progress: bool = True,
    policy: Policy | None = None,
) -> Path:
    """The path of a weight set's file, downloaded if it is not in the cache yet.

    A download can be interrupted: the next call continues where this one stopped. Two processes download once. A
    file that was published without a checksum is pinned at its first use and compared with its pin at every later
    use.

    Args:
        weights: a name such as `"ssd300.voc07+12"`, or a `WeightSet`.
        model: the network, where `weights` is a tag alone (`"voc07+12"`).
        formats: names of formats to take; those that this package reads, by default.
        progress: whether to show a bar on stderr, if that is a terminal.
        policy: a `Policy`: timeouts, attempts, bounds.

    Returns:
        A `pathlib.Path` in the cache folder, which `KERAS_SSD_HOME` moves, or inside this package.

    Raises:
        ValueError: unknown name, or no source in these formats.
        DownloadError: no source delivered; every reason is in the message, and how to place the file by hand.
        IntegrityError: the cached file is not the one of its first use, or one of this package is damaged.

    Example:
        >>> download("ssd300.voc07+12")  # doctest: +SKIP
        PosixPath('/home/me/.cache/keras_ssd/weights/VGG_VOC0712_SSD_300x300_iter_120000.h5')
    """
    entry = weights if isinstance(weights, WeightSet) else find(weights, model)
    policy = policy or Policy()
    sources = cache.chosen_sources(entry, formats)
    if not sources:
        offered = sorted({source.format for source in entry.sources})
        wanted = "a format that this package reads" if formats is None else f"formats={formats!r}"
        raise ValueError(
            f"{entry.name} has no file in {wanted}. It is published as: {', '.join(offered)}. "
            f"Pass formats=({offered[0]!r},) to download that file as it is."
        )
    found = _from_cache(sources)
    if found:
        return found
    sources = _with_url(entry, sources)
    folder = cache.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{entry.name}.lock", policy):
        found = _from_cache(sources)  # another process may have downloaded it meanwhile
        if found:
            return found
        failures = []
        for source in sources:
            try:
                with bar(source.file, progress) as report:
                    return _obtain(source, folder, policy, report)
            except DownloadError as failure:
                failures.append((source, failure))
    raise _all_failed(entry, failures, folder)


@contextlib.contextmanager
def _alone(path, policy):
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=policy.lock_timeout):
            yield
    except Timeout as error:
        raise DownloadError(
            f"Another process has been downloading the same weights for {policy.lock_timeout:.0f} s. "
            f"Wait for it, or, if there is none, delete {path}."
        ) from error


def _from_cache(sources):
    """The first file that is there, checked; None when there is none."""
    folder = cache.cache_folder()
    for source in sources:
        path = cache.place(source)
        if not cache.is_there(source):
            continue
        if source.bundled:
            return _checked_part(path, source)
        for part, form in _parts(source, path):
            if not cache.check_pin(part, part.name, folder):
                _adopt(source, part, form, folder)
        return path
    return None


def _parts(source, path):
    """(path, format) of the files of a source: the description of the network, if its archive holds one, and `path`."""
    network = [(cache.network_of(path), "prototxt")] if source.prototxt else []
    return [*network, (path, source.format)]


def _checked_part(path, source):
    """A file of this package, compared with its entry in the catalogue."""
    try:
        cache.check_delivery(path, source)
        cache.check_form(path, source.format)
    except IntegrityError as error:
        raise IntegrityError(f"{path} is damaged: {error}. Install keras-ssd again.") from error
    return path


def _with_url(entry, sources):
    """The sources that can be downloaded, of a weight set that is not on this machine."""
    outside = tuple(source for source in sources if not source.bundled)
    if not outside:
        raise IntegrityError(
            f"{entry.name} is part of this package, and its file is missing: expected {cache.place(sources[0])}. "
            "Install keras-ssd again."
        )
    return outside


def _adopt(source, path, form, folder):
    """Checks and pins a file that somebody placed in the cache by hand."""
    try:
        if not source.archive:
            cache.check_delivery(path, source)
        cache.check_form(path, form)
    except IntegrityError as error:
        raise IntegrityError(
            f"{path} cannot be used: {error}. Delete it to download it again, or put a good copy there."
        ) from error
    try:
        cache.pin(path, path.name, folder, "placed by hand")
    except PermissionError as error:
        warnings.warn(f"{path} is used, but cannot be pinned: {error}", stacklevel=4)


def _obtain(source, folder, policy, report):
    """Downloads from one source, checks, and gives the file its name."""
    part = folder / f"{source.archive or source.file}.part"
    try:
        fetch.fetch(source, part, policy, report)
        cache.check_delivery(part, source)
        if not source.archive:
            return _accept(source, [part], folder)
        members = [source.prototxt] if source.prototxt else []
        return _accept(source, _unpacked(part, [*members, source.member or source.file], source, policy), folder)
    except IntegrityError:
        fetch.discard(part)  # a download of wrong bytes cannot be continued
        raise


def _unpacked(archive, members, source, policy):
    """The wanted members of an archive as files beside it: all of them, or none."""
    ready = [archive.with_name(f"{source.file}.{place}.unpacked") for place in range(len(members))]
    try:
        for member, target in zip(members, ready, strict=True):
            archives.extract(archive, member, target, policy.max_unpacked)
    except BaseException:
        _remove(ready)
        raise
    return ready


def _accept(source, ready, folder):
    """The last checks; then the final names, that of the weights last; then the pins."""
    path = folder / source.file
    parts = _parts(source, path)
    try:
        pinned = []
        for (final, form), file in zip(parts, ready, strict=True):
            cache.check_form(file, form)
            pinned.append(cache.check_pin(file, final.name, folder))
    except IntegrityError:
        _remove(ready)
        raise
    for (final, _), file, known in zip(parts, ready, pinned, strict=True):
        os.replace(file, final)
        if not known:
            cache.pin(final, final.name, folder, source.url)
    fetch.discard(folder / f"{source.archive or source.file}.part")
    return path


def _remove(files):
    for file in files:
        file.unlink(missing_ok=True)


def _all_failed(entry, failures, folder):
    lines = [f"{entry.name} could not be downloaded. Tried:"]
    lines += [f"  {source.url}\n    {failure}" for source, failure in failures]
    source = failures[0][0]
    what = source.file
    if source.archive:
        what = f"{source.member or source.file}, unpacked from {source.archive},"
    beside = f", and {source.prototxt} of it as\n  {cache.network_of(folder / source.file)}" if source.prototxt else ""
    lines.append(
        f"If you can get the file elsewhere (a browser, another machine), save {what} as\n"
        f"  {folder / source.file}{beside}\n"
        "and try again, or pass its path instead of the name."
    )
    text = "\n".join(lines)
    broken = len(failures) == 1 and isinstance(failures[0][1], IntegrityError)
    return IntegrityError(text) if broken else DownloadError(text)
