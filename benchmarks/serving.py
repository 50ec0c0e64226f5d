"""Requests to `keras-ssd serve` from many clients on this machine, beside `detect` on the same images.

python benchmarks/serving.py photos/ --weights ssd_small.cells
python benchmarks/serving.py photos/ --weights mine.onnx --requests 1000 --clients 32 --overload

Prints how many requests were lost, the largest difference from `detect`, images per second of both, and the times that
half, 95 and 99 of 100 requests took. Clients share the processors with the server. --overload then sends ten times what
the queue holds, and counts how many were answered and refused, and whether the server answers afterwards.
"""

import argparse
import collections
import concurrent.futures
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import requests

import keras_ssd

_session = threading.local()


def send(url, data, confidence):
    """(status, answer, seconds) of one request; status 0 is one that was lost."""
    if not hasattr(_session, "one"):
        _session.one = requests.Session()
    begun = time.perf_counter()
    try:
        answer = _session.one.post(f"{url}/detect", data, params={"confidence": confidence}, timeout=120)
        return answer.status_code, answer.json(), time.perf_counter() - begun
    except (requests.RequestException, ValueError) as error:
        return 0, {"detail": str(error)}, time.perf_counter() - begun


def difference(answer, expected):
    """Largest difference of a score, and of a box in pixels; infinite where the objects differ."""
    found = keras_ssd.Detections.from_dict(answer)
    if sorted(found.names) != sorted(expected.names):
        return np.inf, np.inf
    if not len(found):
        return 0.0, 0.0
    boxes = np.abs(found.boxes_xyxy[:, None] - expected.boxes_xyxy[None]).max(-1)  # equal scores may change places
    nearest = boxes.argmin(1)
    return np.abs(found.scores - expected.scores[nearest]).max(), boxes.min(1).max()


def measure(url, images, count, clients, confidence):
    """The answers to `count` requests, and images per second."""
    jobs = [images[place % len(images)] for place in range(count)]
    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda data: send(url, data, confidence), jobs))
    return answers, count / (time.perf_counter() - begun)


def of_detect(weights, images, count, confidence, engine):
    """What `detect` finds in each image, and its images per second for as many."""
    model = keras_ssd.open_model(weights)
    expected = list(model.detect(images, confidence=confidence, engine=engine))
    begun = time.perf_counter()
    for _ in model.detect(
        [images[place % len(images)] for place in range(count)], confidence=confidence, engine=engine
    ):
        pass
    return expected, count / (time.perf_counter() - begun)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="with images")
    parser.add_argument("--weights", "-w", required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--confidence", type=float, default=0.5)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--overload", action="store_true")
    args = parser.parse_args(argv)
    paths = sorted(path for path in Path(args.folder).iterdir() if path.suffix.lower() in (".jpg", ".png"))[:100]
    images = [path.read_bytes() for path in paths]
    expected, alone = of_detect(args.weights, images, args.requests, args.confidence, args.engine)
    words = ["serve", args.weights, "--port", "0", "--engine", args.engine, "--workers", args.workers]
    with subprocess.Popen([sys.executable, "-m", "keras_ssd", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            print(said.strip())
            url = re.search(r"http://\S+:\d+", said)[0]
            measure(url, images, args.clients, args.clients, args.confidence)  # warm
            tell(*measure(url, images, args.requests, args.clients, args.confidence), expected, alone)
            if args.overload:
                overload(url, images, args.confidence)
        finally:
            process.terminate()


def tell(answers, rate, expected, alone):
    """Prints a measurement."""
    statuses = collections.Counter(status for status, _, _ in answers)
    differences = [
        difference(answer, expected[place % len(expected)])
        for place, (status, answer, _) in enumerate(answers)
        if status == 200
    ]
    scores, boxes = np.max(differences, axis=0)
    times = np.percentile([seconds for _, _, seconds in answers], [50, 95, 99]) * 1000
    print(f"answers by status: {dict(statuses)}; lost: {statuses[0]}")
    print(f"largest difference from detect: scores {scores:.1e}, boxes {boxes:.1e} pixels")
    print(f"images/s: serve {rate:.1f}, detect {alone:.1f} ({rate / alone:.0%})")
    print("p50 {:.0f} ms, p95 {:.0f} ms, p99 {:.0f} ms".format(*times))


def overload(url, images, confidence, queue=64):
    """Ten times as many clients as the queue has places."""
    answers, _ = measure(url, images, 20 * queue, 10 * queue, confidence)
    statuses = collections.Counter(status for status, _, _ in answers)
    print(f"overload, {10 * queue} clients: answers by status {dict(statuses)}")
    status, _, seconds = send(url, images[0], confidence)
    print(f"afterwards: {status} in {seconds * 1000:.0f} ms")


if __name__ == "__main__":
    main()
