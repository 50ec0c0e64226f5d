"""A real browser for tests: Debian's Chromium, driven by Playwright."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest


def _missing(message):
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextlib.contextmanager
def chromium(*flags):
    """Chromium without a window; where there is none the test skips, and fails in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _missing("Chromium is not installed: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is not installed: pip install 'keras-ssd[test]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            browser.close()


def web_runtime():
    """The folder node_modules with onnxruntime-web, which an environment variable names; else as without a browser."""
    folder = os.environ.get("KERAS_SSD_NODE_MODULES") or Path(__file__).parents[1] / "examples/browser/node_modules"
    if not (Path(folder) / "onnxruntime-web").is_dir():
        _missing("onnxruntime-web is not installed: npm install in examples/browser, or set KERAS_SSD_NODE_MODULES")
    return Path(folder)


@contextlib.contextmanager
def served(folder, **others):
    """The address of a server on this machine for a folder; `others`: {first part of a path: another folder}."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            first, _, rest = path.lstrip("/").partition("/")
            return (
                str(Path(others[first]) / rest.partition("?")[0]) if first in others else super().translate_path(path)
            )

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Page:
    """A page that notes what it asked for and what it complained of."""

    def __init__(self, browser, path, script="", **options):
        self.context = browser.new_context(**options)
        self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # a machine that is busy starts the engine slowly
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path if isinstance(path, str) else path.as_uri())

    @property
    def outside(self):
        """Addresses that were asked for and are neither the file nor inside it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]

    def close(self):
        self.context.close()
