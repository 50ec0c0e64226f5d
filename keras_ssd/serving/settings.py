"""What a server is started with."""

import dataclasses
import importlib
import json
import os
from typing import Self

from keras_ssd.engines import AUTO, FLOAT32

LOWEST_CONFIDENCE = 0.01  # that a request may ask for; a lower one would make another decoder for each request
VARIABLE = "KERAS_SSD_SERVE"  # of the environment: the settings as JSON, for the processes of several workers
EXTRA = "serve"
PACKAGES = {  # as one imports it -> as one installs it
    "fastapi": "fastapi",
    "fastapi_offline": "fastapi-offline",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The arguments of a server.

    Args:
        weights, model, class_names: see `keras_ssd.open_model`.
        engine, precision: see `keras_ssd.detect`.
        batch_size: the most images that the network sees at once.
        queue: the most requests that are worked on or wait; more are answered with 429.
        max_bytes: the largest body of a request; larger ones are answered with 413.
        max_pixels: the largest image; likewise.
        timeout: seconds that a client has for sending an image, and that an answer may take.
        token: what clients must send as `Authorization: Bearer TOKEN`; None asks for nothing.
        max_map_bytes: see `keras_ssd.map_limit`.
    """

    weights: str
    model: str | None = None
    class_names: tuple[str, ...] | None = None
    engine: str = AUTO
    precision: str = FLOAT32
    batch_size: int = 8
    queue: int = 64
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 30.0
    token: str | None = None
    max_map_bytes: int | None = None

    def to_environment(self) -> None:
        """Leaves the settings where processes started from this one find them."""
        os.environ[VARIABLE] = json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that `to_environment` left."""
        told = json.loads(os.environ[VARIABLE])
        names = told.pop("class_names")
        return cls(**told, class_names=None if names is None else tuple(names))


def check_packages() -> None:
    """Refuses to serve where a package is missing.

    Raises:
        ImportError: the text names the extra.
    """
    for module, package in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ImportError(f"Serving needs the package `{package}`: pip install 'keras-ssd[{EXTRA}]'") from error
