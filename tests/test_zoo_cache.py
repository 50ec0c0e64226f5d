"""What lies in the cache: pins of first uses, files placed by hand, and two processes that want one file."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from download_server import Reply
from downloading import BODY, FAST, fails, get, h5_bytes, source

from keras_ssd import zoo
from keras_ssd.zoo import cache
from keras_ssd.zoo.errors import IntegrityError

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")


def test_rejects_cached_file_that_changed_since_its_first_use(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    path = get(wanted)
    path.write_bytes(h5_bytes(seed=1))
    with pytest.raises(IntegrityError, match=r"not the file of its first use.*delete .*w\.h5.*pins\.json"):
        get(wanted)
    path.unlink()
    assert get(wanted).read_bytes() == BODY


def test_rejects_published_file_that_changed_since_its_first_use(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    get(wanted).unlink()
    server.play("/w.h5", Reply(h5_bytes(seed=1), etag='"two"'))
    assert "not the file of its first use" in fails(wanted)


def test_values_pins_of_other_files_stay(server):
    get(source(server.play("/w.h5", Reply(BODY))))
    get(source(server.play("/v.h5", Reply(BODY)), file="v.h5"))
    pins = json.loads((cache.cache_folder() / "pins.json").read_text())
    assert set(pins) == {"w.h5", "v.h5"}
    assert pins["v.h5"]["size"] == len(BODY)
    assert pins["v.h5"]["url"] == server.address + "/v.h5"


def test_rejects_damaged_pins(server):
    wanted = source(server.play("/w.h5", Reply(BODY)))
    get(wanted)
    (cache.cache_folder() / "pins.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"pins\.json is damaged"):
        get(wanted)


def test_rejects_bad_file_placed_by_hand(server):
    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    (folder / "w.h5").write_bytes(b"<html>saved the page, not the file</html>")
    with pytest.raises(IntegrityError, match=r"w\.h5 cannot be used: a web page.*Delete it"):
        get(source(server.play("/w.h5", Reply(BODY))))


# ------------------------------------------------------------------------------------------- processes


RACER = """
import sys
from keras_ssd import zoo
from keras_ssd.zoo import Source, WeightSet
print("ready", flush=True)
sys.stdin.readline()
entry = WeightSet("ssd300", "test", (Source("ssd_keras_h5", sys.argv[1], "w.h5"),))
print(zoo.download(entry), flush=True)
"""


def test_values_two_processes_download_once(server):
    url = server.play("/w.h5", Reply(BODY, delay=1.0))
    command = [sys.executable, "-c", RACER, url]
    root = str(Path(zoo.__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root + os.pathsep + os.environ.get("PYTHONPATH", "")}
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        paths = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert paths == [str(cache.cache_folder() / "w.h5")] * 2
    assert Path(paths[0]).read_bytes() == BODY
    assert server.count("/w.h5") == 1


def test_rejects_endless_wait_for_another_process(server):
    from filelock import FileLock

    folder = cache.cache_folder()
    folder.mkdir(parents=True)
    hasty = replace(FAST, lock_timeout=0.1)
    with FileLock(folder / "ssd300.test.lock"):
        message = fails(source(server.play("/w.h5", Reply(BODY))), policy=hasty)
    assert "Another process" in message
