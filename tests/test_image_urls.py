"""Images from web servers: what is read, and what is refused."""

import http.server
import threading

import numpy as np
import pytest
from image_files import refusal
from PIL import Image

from keras_ssd.images import (
    read_image,
)
from keras_ssd.images import reading as reading_module

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def server(tmp_path, noise):
    """A local server of /good.png and of several that fail."""
    Image.fromarray(noise).save(tmp_path / "good.png")
    good = (tmp_path / "good.png").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind = self.path.split("?")[0]
            self.send_response({"/missing.png": 404, "/broken.png": 500}.get(kind, 200))
            body = b"<html>sign in</html>" if kind == "/page.png" else good
            self.send_header("Content-Length", str(len(body) + (1000 if kind == "/cut.png" else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_values_url(server, noise):
    np.testing.assert_array_equal(read_image(f"{server}/good.png?size=1"), noise)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.png", "404"),
        ("broken.png", "500"),
        ("page.png", "a web page"),
        ("cut.png", "download"),
    ],
)
def test_rejects_urls_that_fail(server, path, said):
    message = refusal(f"{server}/{path}")
    assert said in message
    assert f"{server}/{path}" in message


def test_rejects_url_without_server_and_too_large(server, monkeypatch):
    assert "download failed" in refusal("http://127.0.0.1:9/a.png")
    monkeypatch.setattr(reading_module, "MAX_DOWNLOAD_BYTES", 100)
    assert "larger" in refusal(f"{server}/good.png")


def test_rejects_url_that_takes_too_long(server, monkeypatch):
    monkeypatch.setattr(reading_module, "TOTAL_TIMEOUT", -1)
    assert "longer than" in refusal(f"{server}/good.png")
