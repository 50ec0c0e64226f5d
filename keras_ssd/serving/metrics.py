"""Numbers of a server in Prometheus's text format."""

import os

import prometheus_client as prometheus
from prometheus_client import multiprocess

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # of the environment: where the numbers of several workers meet
CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The numbers of one server; those of several workers are added up."""

    def __init__(self) -> None:
        self._registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "keras_ssd_requests", "Requests for detections by status of the answer", ["status"], registry=registry
        )
        self._seconds = prometheus.Histogram(
            "keras_ssd_request_seconds", "Time from a request to its answer", buckets=SECONDS, registry=registry
        )
        self._batches = prometheus.Histogram(
            "keras_ssd_batch_images", "Images in one batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self._objects = prometheus.Counter("keras_ssd_objects", "Objects in the answers", registry=registry)
        self.in_flight = prometheus.Gauge(
            "keras_ssd_in_flight",
            "Requests that are worked on or wait",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def answered(self, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def found(self, objects: int) -> None:
        """Counts objects."""
        self._objects.inc(objects)

    def batch(self, images: int) -> None:
        """Counts a batch."""
        self._batches.observe(images)

    def text(self) -> bytes:
        """All numbers as Prometheus reads them."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return prometheus.generate_latest(registry)
