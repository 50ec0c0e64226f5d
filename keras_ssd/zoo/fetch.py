"""Downloads one url to one file: streamed, resumed if the server allows it, and limited in size."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from keras_ssd._version import __version__
from keras_ssd.zoo import drive
from keras_ssd.zoo.cache import write_atomically
from keras_ssd.zoo.errors import DownloadError, IntegrityError, TransientError

if TYPE_CHECKING:
    from keras_ssd.zoo.catalog import Source


@dataclass(frozen=True)
class Policy:
    """The limits of a download. Times are in seconds, sizes in bytes.

    `attempts` is the number of consecutive attempts that may bring less than `worthwhile` bytes. `max_wait` limits the
    wait that a server may ask for with Retry-After. `lock_timeout` is how long to wait for another process with the
    same download.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    attempts: int = 4
    worthwhile: int = 1 << 20
    backoff: float = 1.0
    max_wait: float = 60.0
    max_redirects: int = 10
    max_bytes: int = 4 << 30
    max_unpacked: int = 1 << 30
    max_page: int = 2 << 20
    chunk: int = 1 << 16
    lock_timeout: float = 3600.0


class _Part:
    """The unfinished file beside its target, and a note about its source."""

    def __init__(self, path):
        self.path = path
        self.note_path = path.with_name(path.name + ".json")

    def note(self, source):
        """The note of the part; {} if it cannot be continued: its url differs, or a change would go unnoticed."""
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
            usable = note["url"] == source.url and self.path.stat().st_size > 0
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return note if usable and (note.get("validator") or source.checksum) else {}

    def begin(self, source, response, total):
        """Writes the note of a new part. A weak ETag does not promise equal bytes, so it is no validator."""
        etag = response.headers.get("ETag", "")
        validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        self.path.unlink(missing_ok=True)
        note = {"url": source.url, "validator": validator, "total": total}
        write_atomically(self.note_path, json.dumps(note))

    def discard(self):
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Removes an unfinished file and its note."""
    _Part(path).discard()


def fetch(source: Source, path: Path, policy: Policy, report: Any) -> None:
    """Downloads `source.url` to `path`, which may have the beginning of the file from an earlier run.

    If the download fails or is interrupted, the file stays for resuming. `report` has the methods `start(total, done)`,
    `advance(count)` and `say(text)`.

    Raises:
        DownloadError: the source cannot deliver; the message is a reason, without the url.
    """
    import requests
    import urllib3

    part = _Part(path)
    fruitless = 0
    with requests.Session() as session:
        session.headers.update({"User-Agent": f"keras-ssd/{__version__}", "Accept-Encoding": "identity"})
        while True:
            before = path.stat().st_size if path.exists() else 0
            try:
                return _transfer(session, source, part, policy, report)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                failure = _network_failure(error, policy)
            except TransientError as error:
                failure = error
            if not isinstance(failure, TransientError):
                raise failure
            gained = (path.stat().st_size if path.exists() else 0) - before
            fruitless = 0 if gained >= policy.worthwhile else fruitless + 1
            if fruitless >= policy.attempts:
                raise DownloadError(f"{failure} (tried {fruitless} times)") from failure
            wait = policy.backoff * 2 ** max(fruitless - 1, 0) if failure.wait is None else failure.wait
            if wait > policy.max_wait:
                raise DownloadError(f"{failure}; that is longer than we wait ({policy.max_wait:g} s)")
            report.say(f"{failure}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _network_failure(error, policy):
    """The exception of a network library as one of this package, with a readable reason."""
    import requests

    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return DownloadError("the host name cannot be resolved; this machine may be offline")
    if isinstance(error, requests.exceptions.SSLError):
        return DownloadError(f"the secure connection failed: {text[:200]}")
    if isinstance(error, requests.ConnectTimeout):
        return TransientError(f"no connection within {policy.connect_timeout:g} s")
    if isinstance(error, requests.ReadTimeout) or "timed out" in text.lower():
        return TransientError(f"no data for {policy.read_timeout:g} s")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return DownloadError(f"the address is not usable: {text[:200]}")
    return TransientError(f"the connection broke ({type(error).__name__})")


def _transfer(session, source, part, policy, report):
    """One attempt: requests the missing bytes and appends them."""
    note = part.note(source)
    done = part.path.stat().st_size if note else 0
    headers = {}
    if done:
        headers["Range"] = f"bytes={done}-"
        if note["validator"]:
            headers["If-Range"] = note["validator"]
    with contextlib.closing(_request(session, source, headers, policy)) as response:
        if response.status_code == 416:
            if done and done == note["total"]:
                return  # the earlier run got the last byte, but not to the end of its checks
            part.discard()
            raise TransientError("the server refuses to continue the unfinished file; the download starts again")
        if response.status_code == 206:
            total = _continued_total(response, done, note, part)
        else:
            done, total = 0, _content_length(response)
            _check_total(total, source, policy, part.path.parent)
            part.begin(source, response, total)
        report.start(total or source.size, done)
        _append(response, part.path, done, total, _limit(source, policy), policy, report)


def _limit(source, policy):
    return source.size or policy.max_bytes


def _content_length(response):
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _check_total(total, source, policy, folder):
    """Raises errors about the size before the first byte instead of after the last."""
    if total is None:
        return
    if source.size is not None and total != source.size:
        raise IntegrityError(f"the server offers {total:,} bytes; {source.size:,} were published")
    if total > _limit(source, policy):
        raise IntegrityError(f"the server offers {total:,} bytes; at most {policy.max_bytes:,} are taken")
    free = shutil.disk_usage(folder).free
    if total > free:
        raise DownloadError(f"{total:,} bytes are needed in {folder}, {free:,} are free")


def _continued_total(response, done, note, part):
    """The whole length, from an answer that continues at the right byte of the same file."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip())
    if not done or not found or int(found[1]) != done or note["total"] not in (None, int(found[3])):
        part.discard()
        sent = response.headers.get("Content-Range")
        raise TransientError(f"asked for bytes {done}-, the server sent {sent!r}; the download starts again")
    return int(found[3])


def _append(response, path, done, total, limit, policy, report):
    with open(path, "ab") as file:
        for chunk in response.raw.stream(policy.chunk, decode_content=False):
            done += len(chunk)
            if done > (total or limit):
                raise IntegrityError(f"more than {total or limit:,} bytes came")
            file.write(chunk)
            report.advance(len(chunk))
    if total is not None and done < total:
        raise TransientError(f"the connection ended after {done:,} of {total:,} bytes")


def _request(session, source, headers, policy):
    """The response that carries the file: behind redirects, and behind Drive's confirmation page."""
    url = drive.direct_url(source.url)
    for _ in range(3):  # Drive asks once; a third page in a row is its refusal
        response = _follow(session, url, headers, policy)
        if drive.is_drive(response.url) and _is_page(response) and response.status_code in (206, 416):
            response.close()  # a piece of the page, because a piece of the file was asked for
            response = _follow(session, url, {}, policy)
        if response.status_code == 416:
            return response  # whatever its body says
        try:
            _check_status(response)
            if not _is_page(response):
                return response
            if not drive.is_drive(response.url):
                raise DownloadError("a web page came instead of the file")
            page = response.raw.read(policy.max_page, decode_content=True).decode("utf-8", "replace")
            url = drive.confirmed_url(page, response.url, session.cookies.get_dict())
        finally:
            if _is_page(response) or response.status_code >= 400:
                response.close()
    raise DownloadError("Google Drive keeps asking for confirmation")


def _is_page(response):
    return "text/html" in response.headers.get("Content-Type", "").lower()


def _follow(session, url, headers, policy):
    """A response that is no redirect. Only http and https are followed, and never from https back to http."""
    for _ in range(policy.max_redirects + 1):
        response = session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(policy.connect_timeout, policy.read_timeout),
        )
        if not response.is_redirect:
            return response
        response.close()
        target = urljoin(url, response.headers["Location"])
        if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
            raise DownloadError(f"the server redirects to {target!r}, which is not followed")
        url = target
    raise DownloadError(f"more than {policy.max_redirects} redirects")


def _check_status(response):
    status = response.status_code
    if status in (200, 206):
        return
    reason = f"the server answers {status} {response.reason or ''}".rstrip()
    if status in (408, 425, 429) or status >= 500:
        wait = _retry_after(response)
        asks = "" if wait is None else f" and asks to wait {wait:.0f} s"
        raise TransientError(reason + asks, wait)
    raise DownloadError(reason)


def _retry_after(response):
    """Seconds that the server asks to wait, or None; the header holds a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
