"""Google Drive's pages between a download and its file."""

import pytest
from download_server import Reply
from downloading import BODY, fails, get, source

from keras_ssd.zoo import drive

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")


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
