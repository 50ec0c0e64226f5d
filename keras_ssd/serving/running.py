"""Runs a server until it is told to stop, in one process or in several."""

import contextlib
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from keras_ssd.serving.app import make_app
from keras_ssd.serving.detector import ServedDetector
from keras_ssd.serving.metrics import FOLDER
from keras_ssd.serving.settings import Settings

HEADER_SECONDS = 20.0  # that a connection may take until its first request is there
MOST_CONNECTIONS = 1000
BACKLOG = 2048
START_SECONDS = 120  # that a worker may not answer its parent, while it imports a backend


class PatientProtocol(HttpToolsProtocol):
    """HTTP that closes connections which send no whole request head for long; uvicorn itself waits for ever."""

    _clock: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wind()

    def _wind(self):
        self._clock = self.loop.call_later(HEADER_SECONDS, self._check, self.cycle)

    def _check(self, before):
        """Closes a connection whose state has not changed since, unless a request is worked on."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self.cycle is before:
            self.transport.close()
        else:
            self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """A server that ends in peace: uvicorn's own ends with the signal that stopped it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {one: signal.signal(one, self.handle_exit) for one in signals}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def quiet_pillow() -> None:
    """Pillow's own warning of a huge image would only repeat what the client is told."""
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OSError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        reason = f"Cannot listen at {host}, port {port} ({error.strerror}). Choose another address or port."
        raise OSError(reason) from None
    made.listen(BACKLOG)  # so that clients which come early wait
    return made


def config_of(app: Any, settings: Settings, **options: Any) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(settings.timeout) + 5,
        **options,
    )


def run(settings: Settings, listening: socket.socket, workers: int, detector: ServedDetector) -> None:
    """Serves until SIGTERM or SIGINT; requests that are in flight are answered.

    Args:
        settings: `Settings`.
        listening: see `bound`.
        workers: processes; each opens the model itself.
        detector: `ServedDetector` that is open already; of no use to several workers, whose processes are new.
    """
    if workers == 1:
        server = _Server(config_of(make_app(settings, detector), settings))
        server.run(sockets=[listening])
        return
    del detector
    settings.to_environment()
    with tempfile.TemporaryDirectory(prefix="keras_ssd-metrics") as folder:
        os.environ[FOLDER] = folder
        options = {"factory": True, "workers": workers, "timeout_worker_healthcheck": START_SECONDS}
        config = config_of("keras_ssd.serving.running:worker_app", settings, **options)
        Multiprocess(config, sockets=[listening]).run()


def worker_app() -> Any:
    """The application of one of several workers, which finds its settings in the environment."""
    settings = Settings.from_environment()
    quiet_pillow()
    detector = ServedDetector(settings)
    detector.warm_up()
    return make_app(settings, detector)
