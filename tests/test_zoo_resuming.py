"""Downloads that were cut go on, and never with another file's bytes."""

import importlib
import json
from dataclasses import replace

import pytest
from download_server import Reply
from downloading import BODY, FAST, fails, get, h5_bytes, left, source

from keras_ssd.zoo import cache
from keras_ssd.zoo.progress import Silent

# The package's attribute `download` is the function; the module behind it is wanted here.
download_module = importlib.import_module("keras_ssd.zoo.download")

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")


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
