"""A local HTTP server that misbehaves on purpose: each path plays a list of replies, one per request."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

MAX_STALL = 5.0  # seconds that a stalled reply hangs at most, so that a broken test ends


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    `cut`: close the connection after so many bytes of the body. `stall`: hang after so many. `declared`: the
    Content-Length to claim (None: the true one, -1: none at all). `ranges`: whether Range is honoured.
    `content_range`: a lie to tell instead of the true Content-Range. `delay`: seconds before the body.
    """

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    etag: str | None = '"one"'
    ranges: bool = True
    cut: int | None = None
    stall: int | None = None
    declared: int | None = None
    content_range: str | None = None
    delay: float = 0.0


class Server:
    """Plays replies by path; `seen` holds (path with query, headers) of every request in order.

    The last reply of a path's list is repeated for further requests.
    """

    def __init__(self):
        self.replies = {}
        self.seen = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self):
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def play(self, path, *replies):
        """Sets the replies of a path; returns its url."""
        self.replies[path] = list(replies)
        return self.address + path

    def count(self, path):
        return sum(urlsplit(seen).path == path for seen, _ in self.seen)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self._http.shutdown()
        self._thread.join(MAX_STALL)
        self._http.server_close()

    def _next(self, path, headers):
        with self._lock:
            self.seen.append((path, dict(headers)))
            replies = self.replies.get(urlsplit(path).path)
            if not replies:
                return Reply(b"no such page", 404)
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    _answer(self, server._next(self.path, self.headers), server.stopped)
                self.close_connection = True

            def log_message(self, *_):
                pass

        return Handler


def _answer(handler, reply, stopped):
    time.sleep(reply.delay)
    status, body, headers = reply.status, reply.body, dict(reply.headers)
    if reply.etag:
        headers.setdefault("ETag", reply.etag)
    asked = handler.headers.get("Range")
    same = handler.headers.get("If-Range") in (None, reply.etag, headers.get("Last-Modified"))
    if asked and reply.ranges and same and status == 200:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            status, body = 416, b""
            headers["Content-Range"] = f"bytes */{len(reply.body)}"
        else:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
    if reply.content_range and status == 206:
        headers["Content-Range"] = reply.content_range
    if reply.declared != -1:
        headers["Content-Length"] = str(len(body) if reply.declared is None else reply.declared)
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if reply.stall is not None:
        handler.wfile.write(body[: reply.stall])
        handler.wfile.flush()
        stopped.wait(MAX_STALL)
        return
    handler.wfile.write(body if reply.cut is None else body[: reply.cut])
