"""`keras-ssd serve`: the answers of `detect`, batches, limits, hostile requests, and a stop that loses nothing."""

import concurrent.futures
import contextlib
import io
import re
import socket
import subprocess
import sys
import threading
import time
import zlib

import keras
import numpy as np
import pytest
import requests
from onnx_nets import randomized, tamed
from PIL import Image
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.cli.main import main

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

from keras_ssd.serving import running  # noqa: E402 (it imports the packages above)
from keras_ssd.serving.app import make_app  # noqa: E402
from keras_ssd.serving.batching import Batcher  # noqa: E402
from keras_ssd.serving.detector import ServedDetector  # noqa: E402
from keras_ssd.serving.settings import Settings  # noqa: E402


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tamed(randomized(tiny_ssd()))


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "m.keras"
    model.save(path)
    return str(path)


@pytest.fixture(scope="module")
def detector(weights):
    opened = ServedDetector(Settings(weights, engine="keras"))
    opened.warm_up()
    return opened


@contextlib.contextmanager
def serving(detector, **options):
    """The address of a server in a thread of this process, and its application's state."""
    settings = Settings("", **{"timeout": 60.0, **options})
    app = make_app(settings, detector)
    with running.bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(running.config_of(app, settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(detector):
    with serving(detector) as url:
        yield url


def encoded(size=(53, 37), kind="png", seed=0):
    """The bytes of an image of noise."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def post(url, data, **options):
    return requests.post(f"{url}/detect", data=data, timeout=90, **options)


def reason(answer, status):
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["detail"]
    return answer.json()["detail"]


def same(answer, expected):
    """Whether JSON tells the same objects as `Detections`, up to the last digits of batches of another size."""
    found = keras_ssd.Detections.from_dict(answer)
    assert (found.names, found.size_hw, found.class_names) == (expected.names, expected.size_hw, expected.class_names)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-3)


@pytest.mark.parametrize("confidence", [None, 0.05, 0.6])
def test_reference_answers_are_those_of_detect(address, model, confidence):
    data = encoded()
    [expected] = model.detect(data, confidence=confidence)
    assert len(expected) > 3
    given = {} if confidence is None else {"confidence": confidence}
    plain = post(address, data, params=given)
    assert plain.status_code == 200
    assert plain.headers["content-type"] == "application/json"
    assert list(plain.json()) == list(expected.to_dict())
    assert plain.json()["source"] is None
    same(plain.json(), expected)
    form = requests.post(f"{address}/detect", files={"image": ("a b.png", data)}, params=given, timeout=90)
    assert form.json() == plain.json() | {"source": "a b.png"}


def test_values_classes_are_chosen(address, model):
    data = encoded()
    [expected] = model.detect(data, confidence=0.3, classes="dog")
    same(post(address, data, params={"confidence": 0.3, "classes": " dog,"}).json(), expected)


def test_reference_many_clients_at_once_lose_nothing_and_share_batches(address, model):
    images = [encoded(size=(30 + place, 41), seed=place) for place in range(20)]
    expected = list(model.detect(images, confidence=0.4))
    before = metrics(address)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda data: post(address, data, params={"confidence": 0.4}), images))
    for answer, one in zip(answers, expected, strict=True):
        same(answer.json(), one)
    after = metrics(address)
    count = 'keras_ssd_requests_total{status="200"}'
    assert after[count] - before.get(count, 0) == 20
    assert after["keras_ssd_batch_images_sum"] - before["keras_ssd_batch_images_sum"] == 20
    assert after["keras_ssd_in_flight"] == 0


def metrics(address):
    """{name with labels: number} of what Prometheus reads."""
    lines = requests.get(f"{address}/metrics", timeout=90).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_values_the_server_tells_of_itself(address):
    assert requests.get(f"{address}/health", timeout=90).json() == {"status": "ok"}
    told = requests.get(f"{address}/model", timeout=90).json()
    assert told == {
        "name": "ssd",
        "class_names": ["cat", "dog"],
        "input_size": [40, 56],
        "confidence": 0.5,
        "engine": "keras",
    }
    api = requests.get(f"{address}/openapi.json", timeout=90).json()
    assert set(api["paths"]) == {"/detect", "/model", "/health", "/metrics"}
    assert {"200", "400", "408", "413", "422", "429", "503"} <= set(api["paths"]["/detect"]["post"]["responses"])
    docs = requests.get(f"{address}/docs", timeout=90).text
    assert re.findall(r"(?:src|href)=\"(https?://[^\"]+)", docs) == []  # it works without a network
    for name in ("", "app.js", "view.js", "sources.js", "page.css"):
        assert requests.get(f"{address}/{name}", timeout=90).status_code == 200


def bomb(width, height):
    """A PNG of a few bytes that says it has this size."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "has no body"),
        (b"no image", 400, "cannot be read"),
        (encoded()[:-900], 400, "cannot be read"),
        (bomb(30000, 30000), 413, "900000000 pixels"),
        (bomb(1 << 30, 1 << 30), 413, "pixels"),
        (b"%PDF-1.7 ...", 400, "PDF"),
        (b"GIF89a" + bytes(20), 400, "cannot be read"),
        (bytes(300_000), 413, "larger than 200000 bytes"),
    ],
)
def test_rejects_hostile_images_and_goes_on(detector, data, status, words):
    with serving(detector, max_bytes=200_000) as url:
        assert words in reason(post(url, data), status)
        assert post(url, encoded()).status_code == 200


def test_values_a_long_thin_image_is_an_image(address):
    answer = post(address, encoded(size=(20000, 10))).json()
    assert (answer["width"], answer["height"]) == (20000, 10)


@pytest.mark.parametrize(
    "given", [{"confidence": "nan"}, {"confidence": 0}, {"confidence": 2}, {"confidence": "high"}, {"classes": "bird"}]
)
def test_rejects_arguments_in_words(address, given):
    said = reason(post(address, encoded(), params=given), 422)
    assert isinstance(said, str)
    assert next(iter(given)) in said or "bird" in said


def test_rejects_forms_without_a_file(address):
    wrong = {"content-type": "multipart/form-data"}
    assert "The form cannot be read" in reason(post(address, b"x", headers=wrong), 400)
    assert "curl -F image=@" in reason(requests.post(f"{address}/detect", files={"a": (None, "b")}, timeout=90), 400)


def raw(address, head, *parts, pause=0.0):
    """What a server sends to a client that sends these bytes one by one, until it closes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=90) as client:
        client.sendall(head)
        with contextlib.suppress(OSError):  # the server may close before all is sent
            for part in parts:
                time.sleep(pause)
                client.sendall(part)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while got := client.recv(65536):
                answer += got
    return answer


HEAD = b"POST /detect HTTP/1.1\r\nHost: x\r\n"


def test_rejects_an_endless_body(detector):
    with serving(detector, max_bytes=100_000) as url:
        chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        answer = raw(url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40)
        assert b" 413 " in answer
        assert post(url, encoded()).status_code == 200


def test_rejects_a_slow_client_without_holding_up_others(detector):
    with serving(detector, timeout=0.6) as url:
        answers = []
        head = HEAD + b"Content-Length: 1000\r\n\r\n"
        slow = threading.Thread(target=lambda: answers.append(raw(url, head, *[b"x"] * 12, pause=0.1)))
        slow.start()
        assert post(url, encoded()).status_code == 200
        slow.join()
        assert b" 408 " in answers[0]
        assert b"within 0.6 seconds" in answers[0]


def test_rejects_a_connection_that_sends_no_request(detector, monkeypatch):
    monkeypatch.setattr(running, "HEADER_SECONDS", 0.2)
    with serving(detector) as url:
        assert raw(url, b"POST /detect HT") == b""
        with requests.Session() as session:  # one that is used stays open
            for _ in range(4):
                assert session.post(f"{url}/detect", encoded(), timeout=90).status_code == 200
                time.sleep(0.1)


class Slow:
    """A detector whose network waits for a signal."""

    def __init__(self, detector):
        self._detector, self.begun, self.go_on = detector, threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._detector, name)

    def rows(self, images, confidences):
        self.begun.set()
        assert self.go_on.wait(30)
        return self._detector.rows(images, confidences)


def test_rejects_more_than_the_queue_holds_and_recovers(detector):
    slow = Slow(detector)
    with serving(slow, queue=2) as url, concurrent.futures.ThreadPoolExecutor(2) as pool:
        held = [pool.submit(post, url, encoded()) for _ in range(2)]
        while metrics(url)["keras_ssd_in_flight"] < 2:
            time.sleep(0.02)
        refused = post(url, encoded())
        assert "2 requests are worked on or wait" in reason(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert requests.get(f"{url}/health", timeout=90).status_code == 200
        slow.go_on.set()
        assert [one.result().status_code for one in held] == [200, 200]
        assert post(url, encoded()).status_code == 200


def test_rejects_what_takes_too_long(detector):
    slow = Slow(detector)
    with serving(slow, timeout=0.3) as url:
        assert "No answer within 0.3 seconds" in reason(post(url, encoded()), 503)
        slow.go_on.set()


def test_values_a_stop_answers_what_is_in_flight(detector):
    slow = Slow(detector)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, serving(slow) as url:
        answer = pool.submit(post, url, encoded())
        assert slow.begun.wait(10)
        threading.Timer(0.3, slow.go_on.set).start()
    assert answer.result().status_code == 200


def test_rejects_clients_without_the_token(detector):
    with serving(detector, token="sesame") as url:
        for headers in ({}, {"Authorization": "Bearer sesam"}, {"Authorization": "Basic sesame"}):
            assert "Authorization: Bearer" in reason(post(url, encoded(), headers=headers), 401)
            assert requests.get(f"{url}/metrics", headers=headers, timeout=90).status_code == 401
        given = {"Authorization": "Bearer sesame"}
        assert post(url, encoded(), headers=given).status_code == 200
        assert requests.get(f"{url}/health", timeout=90).status_code == 200
        assert requests.get(url, timeout=90).status_code == 200


def test_values_an_image_that_fails_takes_no_other_with_it():
    import asyncio

    begun, sizes = threading.Event(), []

    def compute(images, confidences):
        begun.wait(10)
        if any(image is None for image in images):
            raise ValueError("none")
        return list(confidences)

    async def ask():
        batcher = Batcher(compute, 3, sizes.append)
        waiting = [asyncio.ensure_future(batcher.rows(image, place)) for place, image in enumerate((1, 2, None, 4, 5))]
        await asyncio.sleep(0.1)
        begun.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        batcher.close()
        return found

    found = asyncio.run(ask())
    assert found[:2] + found[3:] == [0, 1, 3, 4]
    assert str(found[2]) == "none"
    assert sizes in ([1, 3, 1], [2, 3], [3, 2])


def wait_for(url):
    """Returns when the server answers; workers import a backend and open the model first."""
    for _ in range(60):
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{url}/health", timeout=5)
    return pytest.fail(f"{url} does not answer")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_values_the_command_serves_until_it_is_told_to_stop(weights, workers, model):
    words = ["serve", weights, "--port", "0", "--engine", "keras", "--workers", str(workers), "--token", "t"]
    with subprocess.Popen(
        [sys.executable, "-m", "keras_ssd", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
            assert said.startswith("ssd (keras")
            headers = {"Authorization": "Bearer t"}
            wait_for(url)
            [expected] = model.detect(encoded(), confidence=0.4)
            for _ in range(4):
                same(post(url, encoded(), params={"confidence": 0.4}, headers=headers).json(), expected)
            text = requests.get(f"{url}/metrics", headers=headers, timeout=90).text
            assert 'keras_ssd_requests_total{status="200"} 4.0' in text
        finally:
            process.terminate()
            out, err = process.communicate(timeout=180)
    assert (process.returncode, out.strip()) == (0, "stopped"), err


def test_rejects_a_port_that_is_taken(weights, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", weights, "--port", str(port)]) == 2
    assert f"keras-ssd serve: Cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "70000"], ["--port", "x"], ["--timeout", "0"], ["--queue", "0"]])
def test_rejects_wrong_options(words, capsys):
    with pytest.raises(SystemExit):
        main(["serve", "m.keras", *words])
    assert "expected a" in capsys.readouterr().err
