"""How fast the parts of a video's work are alone and together, and whether memory stays flat.

    python benchmarks/video.py --frames 5000

The video is drawn: 640 x 480, cells that drift. 100 frames are drawn once and repeated.
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import keras_ssd
from keras_ssd.cli.detect import _Log
from keras_ssd.cli.detect_video import run_videos
from keras_ssd.cli.main import make_parser
from keras_ssd.demonstration.moving import draw_moving_smear
from keras_ssd.detecting import make_detecting
from keras_ssd.images import MAX_PIXELS
from keras_ssd.tracking import ByteTrack
from keras_ssd.video import TrackDrawing, VideoWriter, open_video
from keras_ssd.video.detecting import detect_frames

DRAWN = 100
WHOLE_SHARE = 0.85  # of the rate of the slowest part that the whole should reach


def memory_mb():
    """Resident memory of this process, on Linux."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_source(path, frames):
    images = [smear.image for smear in draw_moving_smear(max(2, min(DRAWN, frames // 2)))]
    images += images[-2:0:-1]  # there and back
    with VideoWriter(path, frame_rate=25) as writer:
        for number in range(frames):
            writer.write(images[number % len(images)], number / 25)


def rate(name, work, count):
    begin, own = time.perf_counter(), time.process_time()
    work()
    seconds, own = time.perf_counter() - begin, time.process_time() - own
    print(f"{name:22} {count / seconds:8.1f} frames/s   {1000 * own / count:7.2f} ms of processor time", flush=True)
    return count / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500, help="of the video")
    parser.add_argument("--alone", type=int, default=200, help="frames for the parts alone")
    parser.add_argument("--engine", default="auto")
    args = parser.parse_args()
    model = keras_ssd.ssd_small(weights="cells")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.mp4"
        write_source(path, args.frames)
        alone = min(args.alone, args.frames)
        images = [frame.image for _, frame in zip(range(alone), open_video(path), strict=False)]
        detecting = make_detecting(
            model, 0.1, None, 8, (None, None, None), None, None, MAX_PIXELS, (args.engine, "float32")
        )
        with contextlib.closing(detect_frames(detecting, open_video(path))) as found:
            detections = [one for _, one in zip(range(alone), found, strict=False)]
        rates = parts(model, path, images, detections, detecting, folder)
        reached, memory = whole(model, path, folder, args)
    slowest = min(rates, key=lambda name: rates[name])
    share = reached / rates[slowest]
    verdict = "enough" if share >= WHOLE_SHARE else f"less than {WHOLE_SHARE:.0%}"
    print(f"slowest part: {slowest}; the whole reached {share:.0%} of it: {verdict}", flush=True)
    print("memory in MB, tenth by tenth: " + " ".join(f"{value:.0f}" for value in memory))


def parts(model, path, images, detections, detecting, folder):
    """{part: frames per second} of each part alone."""
    count = len(images)
    drawing = TrackDrawing()
    tracker = ByteTrack(high_conf_det_threshold=0.5, track_activation_threshold=0.6)
    tracked = [one[one.track_ids > 0] for one in (tracker.update(one, one.time) for one in detections)]
    prepared = [drawing.prepare(one) for one in tracked]

    def decode():
        for _ in zip(range(count), open_video(path), strict=False):
            pass

    def track():
        again = ByteTrack(high_conf_det_threshold=0.5, track_activation_threshold=0.6)
        for one in detections:
            again.update(one, one.time)

    def write():
        with VideoWriter(Path(folder) / "written.mp4", frame_rate=25) as writer:
            for number, image in enumerate(images):
                writer.write(image, number / 25)

    return {
        "reading": rate("reading", decode, count),
        "detecting": rate("detecting", lambda: list(model.detect(images, confidence=0.1)), count),
        "tracking": rate("tracking", track, count),
        "drawing": rate("drawing", lambda: [np.asarray(drawing.draw(one)) for one in prepared], count),
        "writing": rate("writing", write, count),
    }


def whole(model, path, folder, args):
    """(Frames per second of the command's own work on the whole video, memory in each tenth of the time in MB)."""
    words = ["detect", str(path), "--weights", "ssd_small.cells", "--track", "--out", folder, "--engine", args.engine]
    given = make_parser().parse_args(words)
    samples, over = [], threading.Event()

    def sample():
        while not over.wait(0.5):
            samples.append(memory_mb())

    thread = threading.Thread(target=sample)
    thread.start()
    out = Path(folder) / "out"
    out.mkdir()
    reached = rate("the whole", lambda: run_videos(given, [str(path)], out, _Log(), lambda: model), args.frames)
    over.set()
    thread.join()
    samples.append(memory_mb())
    return reached, [max(part) for part in np.array_split(samples, min(10, len(samples)))]


if __name__ == "__main__":
    main()
