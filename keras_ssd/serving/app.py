"""The paths of a server: what is answered, and when a request is refused."""

import asyncio
import concurrent.futures
import contextlib
import hmac
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from keras_ssd._version import __version__
from keras_ssd.images import ImageError, ImageTooLargeError
from keras_ssd.serving.batching import Batcher
from keras_ssd.serving.descriptions import DESCRIPTION, DETECT, REFUSALS, Answer, Health, Model, Refusal
from keras_ssd.serving.detector import ServedDetector
from keras_ssd.serving.metrics import CONTENT_TYPE, Metrics
from keras_ssd.serving.page_files import page_files
from keras_ssd.serving.settings import LOWEST_CONFIDENCE, Settings
from keras_ssd.serving.uploads import image_of

GONE = 499  # as nginx counts clients that went away; nobody reads the answer


class Server:
    """What the paths share: the model, what waits, and the numbers.

    Args:
        settings: `Settings`.
        detector: `ServedDetector`, or another object with what is used of it.
    """

    def __init__(self, settings: Settings, detector: Any) -> None:
        self.settings, self.detector, self.metrics = settings, detector, Metrics()
        self.batcher = Batcher(detector.rows, settings.batch_size, self.metrics.batch)
        self.readers = concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1), "keras_ssd-read")
        self._count = 0

    def close(self) -> None:
        """Ends the threads, after what they do."""
        self.readers.shutdown()
        self.batcher.close()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Keeps one of the places in the queue.

        Raises:
            HTTPException: 429, none is free.
        """
        most = self.settings.queue
        if self._count >= most:
            raise HTTPException(
                429, f"{most} requests are worked on or wait already. Send it again later.", {"Retry-After": "1"}
            )
        self._count += 1
        self.metrics.in_flight.inc()
        try:
            yield
        finally:
            self._count -= 1
            self.metrics.in_flight.dec()

    async def detect(self, request: Request, confidence: float | None, classes: str | None) -> dict[str, Any]:
        """The JSON of the image that a request holds."""
        lowest: float = self.detector.confidence if confidence is None else confidence
        class_ids = self._class_ids(classes)
        with self.place():
            data, name = await image_of(request, self.settings)
            try:
                async with asyncio.timeout(self.settings.timeout):
                    loaded = await self._load(data, name)
                    rows = await self.batcher.rows(loaded.image, lowest)
            except TimeoutError:
                raise HTTPException(
                    503, f"No answer within {self.settings.timeout:g} seconds; the server has too much to do."
                ) from None
        found = self.detector.detections(rows, loaded, lowest, class_ids)
        self.metrics.found(len(found))
        return found.to_dict()

    async def _load(self, data, name):
        work = asyncio.get_running_loop().run_in_executor(self.readers, self.detector.load, data, name)
        try:
            return await work
        except ImageTooLargeError as error:
            raise HTTPException(
                413, f"The image has {error.size} pixels, and {error.limit} are the most that is accepted."
            ) from None
        except ImageError as error:
            raise HTTPException(400, f"The image cannot be read: {error.reason}") from None

    def _class_ids(self, classes):
        if not classes:
            return None
        try:
            return self.detector.class_ids([name.strip() for name in classes.split(",") if name.strip()])
        except ValueError as error:
            raise HTTPException(422, str(error)) from None


def make_app(settings: Settings, detector: Any = None) -> FastAPI:
    """The application that an ASGI server such as uvicorn runs.

    Args:
        settings: `Settings`.
        detector: `ServedDetector` that is open already; None opens it when the server starts.
    """
    app = FastAPIOffline(title="keras_ssd", description=DESCRIPTION, version=__version__, lifespan=_lifespan)
    app.state.settings, app.state.detector = settings, detector
    _tell_errors(app)
    guarded = [Depends(_guard(settings.token))] if settings.token else []
    _add_api(app, guarded)
    _add_page(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    detector = app.state.detector or ServedDetector(app.state.settings)
    app.state.server = server = Server(app.state.settings, detector)
    try:
        yield
    finally:
        await asyncio.to_thread(server.close)


def _guard(token: str):
    """What refuses requests without the token."""
    bearer = HTTPBearer(auto_error=False, description="the token that the server was started with")

    def check(given: HTTPAuthorizationCredentials | None = Depends(bearer)) -> None:  # noqa: B008
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(
                401, "Send the server's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )

    return check


def _tell_errors(app: FastAPI) -> None:
    """Every error is {"detail": words}."""

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        told = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return JSONResponse({"detail": told}, 422)

    @app.exception_handler(MemoryError)
    async def full(request: Request, error: MemoryError) -> JSONResponse:
        return JSONResponse({"detail": "The server has no memory left for this image."}, 503)

    @app.exception_handler(Exception)  # it goes on to the log, with its traceback
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "The server failed on this image; its log tells where."}, 500)


def _add_api(app: FastAPI, guarded: list[Any]) -> None:
    @app.post("/detect", response_model=Answer, responses=REFUSALS, openapi_extra=DETECT, dependencies=guarded)
    async def detect(
        request: Request,
        confidence: float | None = Query(
            None, ge=LOWEST_CONFIDENCE, le=1, description="lowest score to report; by default the model's own"
        ),
        classes: str | None = Query(None, description="report these classes alone: person,dog"),
    ) -> Response:
        """Finds the objects in one image, which is the body, or the file of a form."""
        server, begun, status = request.app.state.server, time.perf_counter(), 500
        try:
            answer = JSONResponse(await server.detect(request, confidence, classes))
            status = 200
            return answer
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:
            status = GONE
            return Response(status_code=400)
        except Exception as error:
            if isinstance(error, MemoryError):
                status = 503
            raise
        finally:
            server.metrics.answered(status, time.perf_counter() - begun)

    @app.get("/model", response_model=Model, dependencies=guarded)
    async def model(request: Request) -> Model:
        """What the server detects, and with what."""
        one = request.app.state.server.detector
        names, size = list(one.class_names), list(one.input_size)
        return Model(name=one.name, class_names=names, input_size=size, confidence=one.confidence, engine=one.engine)

    @app.get("/health", response_model=Health, responses={503: {"model": Refusal}})
    async def health(request: Request) -> Health:
        """Whether the server works."""
        if not request.app.state.server.batcher.alive:
            raise HTTPException(503, "The thread that computes has ended. Start the server again.")
        return Health(status="ok")

    @app.get("/metrics", dependencies=guarded, response_class=Response)
    async def metrics(request: Request) -> Response:
        """Numbers for Prometheus."""
        return Response(request.app.state.server.metrics.text(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    for name, path in page_files().items():
        where = "/" if name == "index.html" else f"/{name}"
        app.get(where, include_in_schema=False, response_class=FileResponse)(_file(path))


def _file(path):
    async def file() -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return file
