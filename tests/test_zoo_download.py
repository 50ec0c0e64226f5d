"""The librarian's downloads, against a server that does everything wrong that servers do."""

import hashlib
import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from download_server import Reply, Server
from downloading import BODY, FAST, SHA256, fails, get, h5_bytes, source, weights

from keras_ssd import zoo
from keras_ssd.zoo import cache, fetch
from keras_ssd.zoo.errors import DownloadError, TransientError
from keras_ssd.zoo.progress import Silent

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")


def test_values_download_writes_the_bytes_and_nothing_else(server, home, capfd):
    path = get(source(server.play("/w.h5", Reply(BODY)), size=len(BODY), checksum=SHA256))
    assert path == home / "weights" / "w.h5"
    assert path.read_bytes() == BODY
    assert {p.name for p in path.parent.iterdir()} <= {
        "w.h5",
        "pins.json",
        "pins.json.lock",
        "ssd300.test.lock",
    }
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")  # no bar where stderr is no terminal


def test_values_second_call_touches_no_network(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    assert zoo.cached(weights(wanted)) is None
    path = get(wanted)
    assert zoo.cached(weights(wanted)) == path
    assert get(wanted) == path
    assert server.count("/w.h5") == 1


def test_values_offline_with_a_cached_file():
    with Server() as running:
        wanted = source(running.play("/w.h5", Reply(BODY)))
        path = get(wanted)
    assert get(wanted).read_bytes() == BODY == path.read_bytes()


def test_values_home_moves(server, tmp_path, monkeypatch):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    first = get(wanted)
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "other"))
    assert zoo.cached(weights(wanted)) is None
    second = get(wanted)
    assert first != second == tmp_path / "other" / "weights" / "w.h5"


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("linux", {}, ".cache/keras_ssd"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/keras_ssd"),
        ("darwin", {}, "Library/Caches/keras_ssd"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/keras_ssd/Cache"),
        ("win32", {}, "AppData/Local/keras_ssd/Cache"),
    ],
)
def test_values_default_home(platform, variables, wanted, monkeypatch):
    for name in ("KERAS_SSD_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.home() == Path.home() / wanted


def test_values_file_placed_by_hand_is_checked_and_pinned(server):
    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    (folder / "w.h5").write_bytes(BODY)
    assert get(source(server.play("/w.h5", Reply(BODY)), checksum=SHA256)) == folder / "w.h5"
    assert server.seen == []
    assert json.loads((folder / "pins.json").read_text())["w.h5"]["sha256"] == SHA256.removeprefix("sha256:")


def test_values_progress_bar_on_a_terminal(server, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    get(source(server.play("/w.h5", Reply(BODY))))
    assert "w.h5" in screen.getvalue()
    screen.truncate(0)
    get(source(server.play("/v.h5", Reply(BODY)), file="v.h5"), progress=False)
    assert "v.h5" not in screen.getvalue()


def test_values_only_readable_formats_by_default(server):
    onnx = source(server.play("/w.onnx", Reply(b"\x08\x08 onnx")), file="w.onnx", form="onnx")
    with pytest.raises(ValueError, match=r"published as: onnx.*formats=\('onnx',\)"):
        get(onnx)
    assert get(onnx, formats=("onnx",)).name == "w.onnx"
    assert get(onnx, source(server.play("/w.h5", Reply(BODY)))).name == "w.h5"
    with pytest.raises(ValueError, match=r"Unknown format 'ptx'.*'pth'"):
        get(onnx, formats=("ptx",))


# -------------------------------------------------------------------------------- what the server does


def test_rejects_truncated_body(server):
    message = fails(source(server.play("/w.h5", Reply(BODY, cut=20_000, ranges=False))))
    assert "tried 3 times" in message


def test_rejects_short_body_of_a_lenient_library(tmp_path):
    """Older versions of urllib3 do not compare what came with the Content-Length."""

    class Lenient:
        raw = SimpleNamespace(stream=lambda *_, **__: iter([b"12345"]))

    with pytest.raises(TransientError, match="ended after 5 of 10 bytes"):
        fetch._append(Lenient, tmp_path / "w.part", 0, 10, 100, FAST, Silent())


def test_rejects_truncated_body_without_a_length(server):
    assert "cut off" in fails(source(server.play("/w.h5", Reply(BODY[:20_000], declared=-1))))


def test_rejects_wrong_length(server):
    wanted = source(server.play("/w.h5", Reply(BODY)), size=len(BODY) + 1)
    assert f"offers {len(BODY):,} bytes; {len(BODY) + 1:,} were published" in fails(wanted)
    wanted = source(server.play("/w.h5", Reply(BODY, declared=-1)), size=len(BODY) - 1)
    assert "more than" in fails(wanted)
    wanted = source(server.play("/w.h5", Reply(BODY, declared=-1)), size=len(BODY) + 1)
    assert f"{len(BODY):,} bytes came; {len(BODY) + 1:,} were published" in fails(wanted)


def test_rejects_endless_body(server):
    small = replace(FAST, max_bytes=1000)
    assert "at most 1,000" in fails(source(server.play("/w.h5", Reply(BODY))), policy=small)
    assert "more than 1,000" in fails(source(server.play("/w.h5", Reply(BODY, declared=-1))), policy=small)


def test_values_missing_file_goes_to_the_mirror(server):
    gone = source(server.address + "/gone.h5")
    assert get(gone, source(server.play("/w.h5", Reply(BODY)))).read_bytes() == BODY
    assert server.count("/gone.h5") == 1  # a 404 is not tried again


def test_rejects_when_all_mirrors_fail_with_every_reason(server, home):
    busy = server.play("/busy.h5", Reply(b"", 503))
    page = server.play("/page.h5", Reply(b"<html>", headers={"Content-Type": "text/html"}))
    message = fails(source(server.address + "/gone.h5"), source(busy), source(page))
    for text in (
        "/gone.h5",
        "404",
        "/busy.h5",
        "503",
        "/page.h5",
        "a web page",
        str(home / "weights" / "w.h5"),
    ):
        assert text in message


def test_values_too_many_requests_waits_as_asked(server, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    url = server.play("/w.h5", Reply(b"", 429, {"Retry-After": "0.2"}), Reply(b"", 429, {"Retry-After": "0"}))
    server.replies["/w.h5"].append(Reply(BODY))
    assert get(source(url)).read_bytes() == BODY
    assert 0.0 in waits


def test_values_retry_after_in_seconds_and_as_a_date(server):
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)
    url = server.play("/w.h5", Reply(b"", 429, {"Retry-After": past}), Reply(BODY))
    assert get(source(url)).read_bytes() == BODY
    far = server.play("/far.h5", Reply(b"", 503, {"Retry-After": "5"}))
    message = fails_elsewhere(source(far, file="far.h5"))
    assert "asks to wait 5 s" in message
    assert "longer than we wait" in message
    assert server.count("/far.h5") == 1


def fails_elsewhere(wanted):
    with pytest.raises(DownloadError) as caught:
        get(wanted)
    return str(caught.value)


def test_rejects_stall(server):
    assert "no data for 0.4 s" in fails(source(server.play("/w.h5", Reply(BODY, stall=100, etag=None))))


def test_rejects_unreachable_server():
    assert "connection" in fails(source("http://127.0.0.1:9/w.h5"))


def test_values_redirect_is_followed(server):
    server.play("/w.h5", Reply(BODY))
    url = server.play("/old.h5", Reply(b"", 302, {"Location": "/w.h5"}))
    assert get(source(url)).read_bytes() == BODY


def test_rejects_redirect_loop(server):
    url = server.play("/w.h5", Reply(b"", 302, {"Location": "/w.h5"}))
    assert "more than 10 redirects" in fails(source(url))


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/w.h5"])
def test_rejects_redirect_to_another_scheme(server, target):
    url = server.play("/w.h5", Reply(b"", 302, {"Location": target}))
    assert "which is not followed" in fails(source(url))


def test_rejects_wrong_checksum_and_goes_on(server):
    bad = source(server.play("/bad.h5", Reply(h5_bytes(seed=1))), checksum=SHA256)
    assert "the sha256 is" in fails(bad)
    assert not (cache.cache_folder() / "w.h5.part").exists()
    good = source(server.play("/w.h5", Reply(BODY)), checksum=SHA256)
    assert get(bad, good).read_bytes() == BODY


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha384", "sha512"])
def test_values_checksums_of_every_algorithm(server, algorithm):
    right = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    assert get(source(server.play("/w.h5", Reply(BODY)), checksum=right)).is_file()


def test_values_checksum_prefix(server):
    prefix = hashlib.sha256(BODY).hexdigest()[:8]
    url = server.play("/w.h5", Reply(BODY))
    wrong = "0" * 8 if prefix != "0" * 8 else "1" * 8
    assert "was published" in fails(source(url, checksum=f"sha256_prefix:{wrong}"))
    assert get(source(url, checksum=f"sha256_prefix:{prefix}")).is_file()


def test_rejects_web_page_instead_of_a_file(server):
    page = b"\n<!DOCTYPE html><html>please log in</html>"
    honest = server.play("/a.h5", Reply(page, headers={"Content-Type": "text/html; charset=utf-8"}))
    assert "web page" in fails(source(honest))
    silent = server.play("/b.h5", Reply(page, headers={"Content-Type": "application/octet-stream"}))
    assert "web page" in fails(source(silent))
    model = source(silent, file="b.caffemodel", form="caffemodel")
    assert "web page" in fails(model, formats=("caffemodel",))


def test_rejects_other_kinds_of_files(server):
    url = server.play("/w.h5", Reply(b"PK\x03\x04 a zip, no HDF5"))
    assert "begins with b'PK" in fails(source(url))
    archive = source(url, file="w.npz", form="chainercv_npz")
    assert "cut off" in fails(archive)
    url = server.play("/w.h5", Reply(BODY[:-5000]))
    assert "damaged or cut off" in fails(source(url))


def test_values_body_is_taken_as_it_is_sent(server):
    """Some servers call a .gz file's own compression a Content-Encoding; undoing it changes the file."""
    url = server.play("/w.h5", Reply(BODY, headers={"Content-Encoding": "x-gzip"}))
    assert get(source(url)).read_bytes() == BODY
