"""The librarian's downloads, against a server that does everything wrong that servers do."""

import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from download_server import Reply, Server

from keras_ssd import zoo
from keras_ssd.zoo import archives, cache, drive, fetch
from keras_ssd.zoo.catalog import Source, WeightSet
from keras_ssd.zoo.errors import DownloadError, IntegrityError, TransientError
from keras_ssd.zoo.fetch import Policy
from keras_ssd.zoo.progress import Silent

# The package's attribute `download` is the function; the module behind it is wanted here.
download_module = importlib.import_module("keras_ssd.zoo.download")

FAST = Policy(connect_timeout=2, read_timeout=0.4, attempts=3, worthwhile=1 << 20, backoff=0.0, max_wait=0.3, chunk=512)


def h5_bytes(seed=0, count=10_000):
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["conv1_1/conv1_1/kernel:0"] = np.random.default_rng(seed).random(count, dtype="float32")
    return memory.getvalue()


BODY = h5_bytes()
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def source(url, file="w.h5", form="ssd_keras_h5", **more):
    return Source(form, url, file, **more)


def weights(*sources):
    return WeightSet("ssd300", "test", sources)


def get(*sources, policy=FAST, **more):
    return zoo.download(weights(*sources), policy=policy, **more)


def left():
    """The files in the cache that a user would take for weights."""
    folder = cache.cache_folder()
    return sorted(p.name for p in folder.glob("*") if p.suffix in (".h5", ".npz", ".caffemodel"))


def fails(*sources, policy=FAST, **more):
    """The message of a download that must fail and leave nothing under a final name."""
    with pytest.raises(DownloadError) as caught:
        get(*sources, policy=policy, **more)
    assert left() == []
    return str(caught.value)


# -------------------------------------------------------------------------------------- what goes well


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


# -------------------------------------------------------------------------------------------- resuming


def ranges(server, path):
    return [headers.get("Range") for seen, headers in server.seen if seen == path]


def test_values_resume_after_a_cut(server):
    url = server.play("/w.h5", Reply(BODY, cut=20_000), Reply(BODY))
    assert get(source(url)).read_bytes() == BODY
    first, second = ranges(server, "/w.h5")
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 20_000
    assert server.seen[1][1]["If-Range"] == '"one"'


def test_values_resume_after_a_stall(server):
    url = server.play("/w.h5", Reply(BODY, stall=20_000), Reply(BODY))
    assert get(source(url)).read_bytes() == BODY
    assert int(ranges(server, "/w.h5")[1].removeprefix("bytes=").removesuffix("-")) > 10_000


def test_values_resume_in_a_later_run(server):
    url = server.play("/w.h5", Reply(BODY, cut=20_000), Reply(b"", 503))
    assert "503" in fails(source(url))
    server.play("/w.h5", Reply(BODY))
    server.seen.clear()
    assert get(source(url)).read_bytes() == BODY
    assert ranges(server, "/w.h5")[0] is not None


def test_values_resume_after_an_interrupt(server, monkeypatch):
    url = server.play("/w.h5", Reply(BODY))

    class Impatient(Silent):
        taken = 0

        def advance(self, count):
            self.taken += count
            if self.taken > 10_000:
                raise KeyboardInterrupt

    class Bar:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return Impatient()

        def __exit__(self, *_):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "bar", Bar)
        with pytest.raises(KeyboardInterrupt):
            get(source(url))
    assert left() == []
    assert get(source(url)).read_bytes() == BODY
    assert int(ranges(server, "/w.h5")[1].removeprefix("bytes=").removesuffix("-")) >= 10_000


def test_values_many_cuts_are_no_failure_while_they_bring_something(server):
    url = server.play("/w.h5", *[Reply(BODY, cut=6_000)] * 6, Reply(BODY))
    patient = replace(FAST, worthwhile=1000)
    assert get(source(url), policy=patient).read_bytes() == BODY
    assert server.count("/w.h5") > FAST.attempts


def test_values_server_without_ranges_restarts_cleanly(server):
    url = server.play("/w.h5", Reply(BODY, ranges=False, cut=20_000), Reply(BODY, ranges=False))
    assert get(source(url)).read_bytes() == BODY


def test_values_file_changed_between_two_runs(server):
    other = h5_bytes(seed=1)
    url = server.play("/w.h5", Reply(BODY, cut=20_000), Reply(other, etag='"two"'))
    assert get(source(url)).read_bytes() == other


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_values_nothing_to_tell_a_change_by_means_no_resume(server, etag):
    other = h5_bytes(seed=1)
    url = server.play("/w.h5", Reply(BODY, etag=etag, cut=20_000), Reply(other, etag=etag))
    assert get(source(url)).read_bytes() == other
    assert ranges(server, "/w.h5") == [None, None]


def test_values_last_modified_serves_as_validator(server):
    stamp = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    whole = Reply(BODY, headers=stamp, etag=None)
    url = server.play("/w.h5", replace(whole, cut=20_000), whole)
    assert get(source(url)).read_bytes() == BODY
    assert server.seen[1][1]["If-Range"] == stamp["Last-Modified"]


@pytest.mark.parametrize(
    "lie", ["bytes 0-99/40960", "bytes 1-99/*", "nonsense", f"bytes 19999-{len(BODY)}/{len(BODY) + 1}"]
)
def test_rejects_wrong_content_range(server, lie):
    url = server.play("/w.h5", Reply(BODY, cut=20_000), Reply(BODY, content_range=lie), Reply(BODY, ranges=False))
    assert get(source(url)).read_bytes() == BODY
    assert ranges(server, "/w.h5")[2] is None  # after the lie it starts anew


def test_values_whole_part_of_an_earlier_run_is_used(server, home):
    url = server.play("/w.h5", Reply(BODY))
    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    (folder / "w.h5.part").write_bytes(BODY)
    note = {"url": url, "validator": '"one"', "total": len(BODY)}
    (folder / "w.h5.part.json").write_text(json.dumps(note))
    assert get(source(url)).read_bytes() == BODY


def test_values_part_of_another_url_is_not_continued(server):
    other = h5_bytes(seed=1)
    broken = server.play("/a.h5", Reply(BODY, cut=20_000), Reply(b"", 404))
    assert get(source(broken), source(server.play("/b.h5", Reply(other)))).read_bytes() == other
    assert ranges(server, "/b.h5") == [None]


def test_values_refusal_to_continue_starts_anew(server):
    page = {"Content-Type": "text/html"}
    refusal = Reply(b"<html>416</html>", 416, page, etag=None)
    url = server.play("/w.h5", Reply(BODY, cut=20_000), refusal, Reply(BODY))
    assert get(source(url)).read_bytes() == BODY
    assert ranges(server, "/w.h5")[2] is None


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


# ------------------------------------------------------------------------------------------------ pins


def test_rejects_cached_file_that_changed_since_its_first_use(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    path = get(wanted)
    path.write_bytes(h5_bytes(seed=1))
    with pytest.raises(IntegrityError, match=r"not the file of its first use.*delete .*w\.h5.*pins\.json"):
        get(wanted)
    path.unlink()
    assert get(wanted).read_bytes() == BODY


def test_rejects_published_file_that_changed_since_its_first_use(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    get(wanted).unlink()
    server.play("/w.h5", Reply(h5_bytes(seed=1), etag='"two"'))
    assert "not the file of its first use" in fails(wanted)


def test_values_pins_of_other_files_stay(server):
    get(source(server.play("/w.h5", Reply(BODY))))
    get(source(server.play("/v.h5", Reply(BODY)), file="v.h5"))
    pins = json.loads((cache.cache_folder() / "pins.json").read_text())
    assert set(pins) == {"w.h5", "v.h5"}
    assert pins["v.h5"]["size"] == len(BODY)
    assert pins["v.h5"]["url"] == server.address + "/v.h5"


def test_rejects_damaged_pins(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    get(wanted)
    (cache.cache_folder() / "pins.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"pins\.json is damaged"):
        get(wanted)


def test_rejects_bad_file_placed_by_hand(server):
    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    (folder / "w.h5").write_bytes(b"<html>saved the page, not the file</html>")
    with pytest.raises(IntegrityError, match=r"w\.h5 cannot be used: a web page.*Delete it"):
        get(source(server.play("/w.h5", Reply(BODY))))


# ------------------------------------------------------------------------------------------- processes

RACER = """
import sys
from keras_ssd import zoo
from keras_ssd.zoo import Source, WeightSet
print("ready", flush=True)
sys.stdin.readline()
entry = WeightSet("ssd300", "test", (Source("ssd_keras_h5", sys.argv[1], "w.h5"),))
print(zoo.download(entry), flush=True)
"""


def test_values_two_processes_download_once(server):
    url = server.play("/w.h5", Reply(BODY, delay=1.0))
    command = [sys.executable, "-c", RACER, url]
    root = str(Path(zoo.__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root + os.pathsep + os.environ.get("PYTHONPATH", "")}
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        paths = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert paths == [str(cache.cache_folder() / "w.h5")] * 2
    assert Path(paths[0]).read_bytes() == BODY
    assert server.count("/w.h5") == 1


def test_rejects_endless_wait_for_another_process(server):
    from filelock import FileLock

    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    hasty = replace(FAST, lock_timeout=0.1)
    with FileLock(folder / "ssd300.test.lock"):
        message = fails(source(server.play("/w.h5", Reply(BODY))), policy=hasty)
    assert "Another process" in message


# ---------------------------------------------------------------------------------------- Google Drive


@pytest.fixture
def google(server, monkeypatch):
    monkeypatch.setattr(drive, "HOSTS", ("127.0.0.1",))
    return server


HTML = {"Content-Type": "text/html; charset=utf-8"}


def test_values_drive_small_file_comes_at_once(google):
    google.play("/uc", Reply(BODY))
    assert get(source(google.address + "/open?id=abc")).read_bytes() == BODY
    assert google.seen[0][0] == "/uc?export=download&id=abc"


def test_values_drive_confirmation_form(google):
    page = f"""<html><form id="download-form" action="{google.address}/download" method="get">
        <input type="submit" value="Download anyway"/><input type="hidden" name="id" value="abc">
        <input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">
        <input type="hidden" name="uuid" value="1-2&amp;3"></form></html>"""
    google.play("/uc", Reply(page.encode(), headers=HTML))
    google.play("/download", Reply(BODY, cut=20_000), Reply(BODY))
    assert get(source(google.address + "/open?id=abc")).read_bytes() == BODY
    asked = [path for path, _ in google.seen if path.startswith("/download")]
    assert asked[0] == "/download?id=abc&export=download&confirm=t&uuid=1-2%263"
    assert google.seen[-1][1]["Range"].startswith("bytes=")  # resumed behind the confirmation page too


def test_values_drive_confirmation_link_and_cookie(google):
    link = b'<html><a id="uc-download-link" href="/file?export=download&amp;confirm=xyz&amp;id=abc">x</a></html>'
    google.play("/uc", Reply(link, headers=HTML))
    google.play("/file", Reply(BODY))
    assert get(source(google.address + "/open?id=abc")).read_bytes() == BODY
    assert google.seen[-1][0] == "/file?export=download&confirm=xyz&id=abc"
    cookie = {**HTML, "Set-Cookie": "download_warning_1_abc=tok"}
    google.play("/uc", Reply(b"<html>too large to scan</html>", headers=cookie), Reply(BODY))
    assert get(source(google.address + "/open?id=abc", file="v.h5")).read_bytes() == BODY
    assert google.seen[-1][0] == "/uc?export=download&id=abc&confirm=tok"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("<p>Too many users have viewed or downloaded this file recently.</p>", "too many people downloaded"),
        ("<title>Google Drive - Quota exceeded</title>", "too many people downloaded"),
        ('<a href="https://accounts.google.com/signin">Sign in</a>', "no longer public"),
        ("<p>Hello</p>", "without a download in it"),
        (
            '<form action="http://evil.example/x"><input name="confirm" value="t"></form>',
            "without a download",
        ),
    ],
)
def test_rejects_drive_pages_without_a_file(google, page, reason):
    google.play("/uc", Reply(f"<html>{page}</html>".encode(), headers=HTML))
    assert reason in fails(source(google.address + "/open?id=abc"))


def test_rejects_drive_that_asks_forever(google):
    page = b'<html><form action="/uc"><input name="confirm" value="t"></form></html>'
    google.play("/uc", Reply(page, headers=HTML))
    assert "keeps asking" in fails(source(google.address + "/open?id=abc"))
    assert google.count("/uc") == 3


def test_values_drive_direct_url():
    link = "https://drive.google.com/open?id=abc&resourcekey=0-x"
    assert drive.direct_url(link) == "https://drive.google.com/uc?export=download&id=abc&resourcekey=0-x"
    assert drive.direct_url("https://example.org/open?id=abc") == "https://example.org/open?id=abc"


# -------------------------------------------------------------------------------------------- archives


def tar_bytes(*members, mode="w:gz"):
    """A tar archive of (name, bytes) pairs or ready TarInfo objects."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return memory.getvalue()


def zip_bytes(*members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return memory.getvalue()


def packed(server, body, **more):
    return source(server.play("/all.tar.gz", Reply(body)), archive="all.tar.gz", **more)


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes, lambda *members: tar_bytes(*members, mode="w")])
def test_values_member_of_an_archive(server, pack):
    body = pack(("models/deploy.prototxt", b"name: x"), ("models/VGG/w.h5", BODY))
    checksum = "sha384:" + hashlib.sha384(body).hexdigest()
    path = get(packed(server, body, size=len(body), checksum=checksum))
    assert path.read_bytes() == BODY
    assert left() == ["w.h5"]
    assert not list(path.parent.glob("all*"))  # the archive itself is not kept
    assert not list(path.parent.glob("*.unpacked"))


def link_to(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (tar_bytes(("../../w.h5", BODY)), "not to be trusted"),
        (tar_bytes(("/etc/w.h5", BODY)), "not to be trusted"),
        (zip_bytes(("a/../../w.h5", BODY)), "not to be trusted"),
        (zip_bytes(("C:/w.h5", BODY)), "not to be trusted"),
        (tar_bytes(link_to("w.h5", "/etc/passwd", tarfile.SYMTYPE)), "a link"),
        (tar_bytes(link_to("w.h5", "/etc/passwd", tarfile.LNKTYPE)), "a link"),
        (tar_bytes(link_to("w.h5", "", tarfile.CHRTYPE)), "a link or a device"),
        (tar_bytes(("a/w.h5", BODY), ("b/w.h5", BODY)), "2 files called"),
        (tar_bytes(("a/v.h5", BODY)), "0 files called 'w.h5'"),
        (tar_bytes(("w.h5", BODY))[:-4000], "damaged"),
        (b"no archive at all", "damaged or no archive"),
        (zip_bytes(("w.h5", BODY))[:-10], "damaged or no archive"),
        (tar_bytes(("w.h5", b"<html>")), "web page"),
    ],
)
def test_rejects_hostile_archives(server, tmp_path, body, reason):
    before = sorted(tmp_path.parent.glob("*"))
    assert reason in fails(packed(server, body))
    assert sorted(tmp_path.parent.glob("*")) == before
    leftovers = {p.suffix for p in cache.cache_folder().iterdir()}
    assert leftovers <= {".lock"}


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
def test_rejects_archive_bombs(server, pack):
    small = replace(FAST, max_unpacked=100_000)
    inside = packed(server, pack(("w.h5", bytes(10_000_000))))
    assert "more than is allowed" in fails(inside, policy=small)


def test_rejects_tar_bomb_in_another_member(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar_bytes(("filler", bytes(10_000_000)), ("w.h5", BODY)))
    with pytest.raises(IntegrityError, match="more than is allowed"):
        archives.extract(path, "w.h5", tmp_path / "w.h5", 1_000_000)
    assert not (tmp_path / "w.h5").exists()


def test_values_member_by_its_whole_path(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar_bytes(("a/w.h5", b"one"), ("b/w.h5", b"two")))
    archives.extract(path, "b/w.h5", tmp_path / "w.h5", 1_000_000)
    assert (tmp_path / "w.h5").read_bytes() == b"two"
