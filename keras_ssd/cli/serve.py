"""`keras-ssd serve`: a detector behind HTTP."""

import argparse
import os
import sys

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    add_class_names,
    add_engine,
    add_map_limit,
    class_names,
    count,
    positive,
)
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Serve a detector over HTTP: POST an image to /detect, and get JSON. The page at
/ is for people: drop or paste an image, and choose confidence and classes."""

EPILOG = """\
examples:
  keras-ssd serve runs/mine/model.keras
  keras-ssd serve mine.onnx --host 0.0.0.0 --port 80 --workers 2
  curl --data-binary @street.jpg http://localhost:8000/detect?confidence=0.3
  curl -F image=@street.jpg http://localhost:8000/detect?classes=person,dog

paths:
  /          the page
  /detect    POST an image as the body or as the file of a form; the answer has
             the fields of `keras-ssd detect --format json`
  /model     classes, input size, confidence, engine
  /health    {"status": "ok"}, or 503
  /metrics   numbers for Prometheus
  /docs      the API, as OpenAPI

Requests that come at the same time are computed together. Refusals are
{"detail": reason}: 400 no image, 401 no token, 408 too slow, 413 too large,
422 wrong arguments, 429 too many requests, 503 no answer in time.

Ctrl+C or SIGTERM answers what is in flight, and ends with exit code 0. The
server needs the extra `serve`: pip install 'keras-ssd[serve]'
"""
ARGUMENTS = {"max_bytes": "--max-bytes", "weights_classes": "--class-names"}
TOKEN = "KERAS_SSD_TOKEN"  # of the environment, which other users of the machine do not see


def add_parser(commands: Commands) -> None:
    """Adds the command `serve` to the parser's commands."""
    parser = commands.add_parser("serve", help="answer images over HTTP", **notes(DESCRIPTION, EPILOG))
    parser.add_argument("weights", metavar="MODEL", help="what --weights of `detect` takes: a file, or a name")
    parser.add_argument("--model", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=_port, default=8000, help="port (default: 8000; 0 takes a free one)")
    parser.add_argument("--workers", type=count, default=1, help="processes, each with a model (default: 1)")
    parser.add_argument("--batch-size", "-b", type=count, default=8, help="most images at once (default: 8)")
    parser.add_argument("--queue", type=count, default=64, help="most requests in flight per worker (default: 64)")
    parser.add_argument(
        "--max-bytes", type=count, default=20_000_000, metavar="BYTES", help="largest request (default: 20000000)"
    )
    parser.add_argument("--max-pixels", type=count, default=50_000_000, help="largest image (default: 50000000)")
    parser.add_argument(
        "--timeout",
        type=positive,
        default=30.0,
        metavar="SECONDS",
        help="for sending an image, and for the answer (default: 30)",
    )
    parser.add_argument(
        "--token", help=f"clients must send it as a bearer token (default: the environment's {TOKEN}, or none)"
    )
    add_engine(parser)
    add_map_limit(parser)
    parser.set_defaults(run=run)


def _port(text):
    try:
        if 0 <= int(text) < 1 << 16:
            return int(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected a port in 0..65535; received {text}")


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    from keras_ssd.serving.settings import Settings, check_packages

    check_packages()
    from keras_ssd.serving import running
    from keras_ssd.serving.detector import ServedDetector

    settings = Settings(
        weights=args.weights,
        model=args.model,
        class_names=class_names(args.class_names),
        engine=args.engine,
        precision=args.precision,
        batch_size=args.batch_size,
        queue=args.queue,
        max_bytes=args.max_bytes,
        max_pixels=args.max_pixels,
        timeout=args.timeout,
        token=args.token or os.environ.get(TOKEN) or None,
        max_map_bytes=args.max_map_bytes,
    )
    with running.bound(args.host, args.port) as listening:
        quiet_first_operation()
        running.quiet_pillow()
        detector = ServedDetector(settings)
        if args.workers == 1:
            detector.warm_up()
        _announce(detector, listening, args)
        running.run(settings, listening, args.workers, detector)
    print("stopped", flush=True)
    return 0


def _announce(detector, listening, args):
    host, port = listening.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    several = f", {args.workers} workers" if args.workers > 1 else ""
    print(
        f"{detector.name} ({detector.engine}{several}) at http://{host}:{port}, the API at /docs; Ctrl+C stops",
        flush=True,
    )
    if args.host not in ("127.0.0.1", "localhost", "::1") and not (args.token or os.environ.get(TOKEN)):
        print("keras-ssd serve: everyone who reaches this address may use it; --token asks for one", file=sys.stderr)
