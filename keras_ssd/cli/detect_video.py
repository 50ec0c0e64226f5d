"""The part of `keras-ssd detect` that is about videos."""

import argparse
import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from keras_ssd.cli.arguments import FORMATS, VIDEO_FORMATS, coordinates, count, moment, positive

# Options that make videos of folders, patterns and GIFs, which are images without them.
_OF_VIDEOS = (
    "track",
    "show",
    "stride",
    "start",
    "end",
    "frame_rate",
    "count_line",
    "zone",
    "per_class",
    "trace",
    "reconnect",
)


def add_video_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options for videos."""
    group = parser.add_argument_group("videos", "with any of these a folder, a pattern or a GIF is a video too")
    group.add_argument("--track", action="store_true", help="follow objects from frame to frame and number them")
    group.add_argument(
        "--per-class", action="store_true", default=None, help="--track: an object never changes its class"
    )
    group.add_argument("--show", action="store_true", help="show the drawn frames in a window; q ends")
    group.add_argument("--stride", type=count, metavar="N", help="take every Nth frame (default: 1)")
    group.add_argument("--start", type=moment, metavar="TIME", help="begin there: seconds, or 1:30")
    group.add_argument("--end", type=moment, metavar="TIME", help="end there")
    group.add_argument(
        "--frame-rate", "--fps", type=positive, metavar="RATE", help="frames per second of a folder (default: 30)"
    )
    group.add_argument(
        "--reconnect",
        type=_whole,
        metavar="N",
        help="new connections in a row that are tried when a stream ends or stalls (default: 5)",
    )
    group.add_argument(
        "--count-line",
        type=_line,
        action="append",
        metavar="X1,Y1,X2,Y2",
        help="count tracked objects that cross this line, in each direction; may be given several times",
    )
    group.add_argument(
        "--zone",
        type=_zone,
        action="append",
        metavar="X1,Y1,...",
        help="count tracked objects in this polygon; may be given several times",
    )
    group.add_argument(
        "--trace", type=_seconds, metavar="SECONDS", help="how much of an object's way is drawn (default: 2)"
    )


def _whole(text):
    with contextlib.suppress(ValueError):
        if int(text) >= 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 on; received {text}")


def _seconds(text):
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number from 0 on; received {text}")


def _line(text):
    points = coordinates(text)
    if len(points) != 2 or points[0] == points[1]:
        raise argparse.ArgumentTypeError(f"expected x1,y1,x2,y2, two different points in pixels; received {text}")
    return points


def _zone(text):
    points = coordinates(text)
    if len(points) < 3:
        raise argparse.ArgumentTypeError(f"expected three points or more, x1,y1,x2,y2,x3,y3; received {text}")
    return points


def videos_among(args: argparse.Namespace) -> list[str]:
    """The sources that are videos.

    Raises:
        ValueError: others are images; or formats or options do not suit.
    """
    from keras_ssd.video.kinds import is_video

    options = [name for name in _OF_VIDEOS if getattr(args, name)]
    videos = [source for source in args.sources if is_video(source) or (options and _of_frames(source))]
    others = [source for source in args.sources if source not in videos]
    if videos and others:
        raise ValueError(f"{videos[0]} is a video, and {others[0]} is none. Give them to two commands.")
    if options and others:
        option = f"--{options[0].replace('_', '-')}"
        raise ValueError(
            f"{option} is for videos: files such as .mp4, .gif, folders of frames, camera:0 or streams. Received: "
            f"{others[0]}"
        )
    known = VIDEO_FORMATS if videos else FORMATS
    wrong = [form for form in args.format or () if form not in known]
    if wrong:
        kind = "videos" if videos else "images"
        raise ValueError(f"--format {wrong[0]} is not for {kind}. For these there are {', '.join(known)}.")
    tracking = args.track or args.count_line or args.zone
    if videos and "mot" in (args.format or ()) and not tracking:
        raise ValueError("--format mot is a list of tracks. Add --track.")
    if videos and args.per_class and not tracking:
        raise ValueError("--per-class says how objects are followed. Add --track.")
    return videos


def _of_frames(source):
    """Whether a source can be a video though it looks like images."""
    return "://" in source or os.path.isdir(source) or "*" in source or source.lower().endswith(".gif")


def run_videos(args: argparse.Namespace, videos: list[str], folder: Path | None, log: Any, opened: Callable) -> int:
    """Runs the command on videos; returns its exit code.

    Args:
        folder: to write to; None prints tables.
        log: `_Log` of `keras_ssd.cli.detect`.
        opened: function that gives the model.
    """
    from keras_ssd.video.errors import VideoError, load_av

    load_av()
    window = None
    if args.show:
        from keras_ssd.video.window import Window

        try:
            window = Window("keras-ssd")
        except VideoError as error:
            raise VideoError(f"{error} Leave --show out, and write a video with --out DIR.") from None
    model, done, troubled = opened(), 0, False
    taken = {os.path.realpath(source) for source in videos}
    for source in videos:
        try:
            work = _Work(args, model, source, folder, taken, window, log)
        except (VideoError, FileNotFoundError) as error:
            log.error(error)
            troubled = True
            continue
        try:
            work.run()
        except KeyboardInterrupt:
            log.error(f"{source}: interrupted after {work.frames} frames; what was found so far is kept")
            log.done += work.frames
            return 130
        log.done += work.frames
        done += bool(work.frames)
        troubled |= bool(work.video.problems) or not work.frames
        if window is not None and window.closed:
            break
    if window is not None:
        window.end()
    return int(troubled) if done else 2


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """A frame on its way to the files: what was found, the drawn image (None if nobody needs it), and the counts."""

    found: Any
    image: Any
    counts: dict[str, Any]


class _Work:
    """One video from its frames to the files."""

    def __init__(self, args, model, source, folder, taken, window, log) -> None:
        from keras_ssd.cli.video_results import made, video_targets
        from keras_ssd.tracking import CountLine, CountZone
        from keras_ssd.video import TrackDrawing, open_video

        self._args, self._log, self._window, self._source = args, log, window, source
        chosen = {"stride": args.stride or 1, "start": args.start, "end": args.end, "frame_rate": args.frame_rate}
        self.video = open_video(source, reconnect=5 if args.reconnect is None else args.reconnect, **chosen)
        self._lines = [CountLine(*points) for points in args.count_line or ()]
        self._zones = [CountZone(points) for points in args.zone or ()]
        trace = {} if args.trace is None else {"trace": args.trace}
        self._drawing = TrackDrawing(lines=self._lines, zones=self._zones, **trace)
        self._found = self._finding(model)
        formats = () if folder is None else args.format or ("video", "jsonl")
        self._draws = bool({"video", "gif"} & {*formats}) or window is not None
        targets = video_targets(folder, source, formats, taken) if folder is not None else {}
        self._results = [made(form, path, self.video) for form, path in targets.items()]
        self.frames, self._objects, self._tracks = 0, 0, set()

    def _finding(self, model):
        """The generator of what is found in each frame."""
        from keras_ssd.detecting import make_detecting
        from keras_ssd.images import MAX_PIXELS
        from keras_ssd.video.detecting import detect_frames, track

        args = self._args
        if args.track or args.count_line or args.zone:
            options = {"per_class": bool(args.per_class), "batch_size": args.batch_size}
            options |= {"confidence": args.confidence, "classes": args.classes}
            options |= {"iou_threshold": args.iou_threshold, "engine": args.engine, "precision": args.precision}
            return track(model, self.video, **options, tiles=args.tiles, overlap=args.overlap)
        decoding, computing = (args.iou_threshold, None, None), (args.engine, args.precision)
        limit = args.max_pixels or MAX_PIXELS
        detecting = make_detecting(
            model,
            args.confidence,
            args.classes,
            args.batch_size,
            decoding,
            None,
            None,
            limit,
            computing,
            (args.tiles, args.overlap),
        )
        return detect_frames(detecting, self.video)

    def run(self) -> None:
        """Does the work; whole files are left also where it is interrupted."""
        try:
            with contextlib.closing(self._drawn()) as drawn, self._progress() as advance:
                for one in drawn:
                    self._write(one)
                    advance(self.frames)
                    if self._window is not None and self._window.closed:
                        break
        except KeyboardInterrupt:
            self._end()
            raise
        except BaseException:
            for result in self._results:
                result.discard()
            raise
        self._end()

    def _drawn(self) -> Generator[_Drawn, None, None]:
        """Frames drawn in a thread each while the network computes, in order."""
        from keras_ssd.reading_ahead import map_ahead, read_ahead

        def draw(prepared):
            return _Drawn(prepared[0].detections, self._drawing.draw(prepared[0]) if self._draws else None, prepared[1])

        def stages():
            with contextlib.closing(self._found) as found:
                yield from map(self._prepared, found)

        ahead = 0 if self.video.live else 3
        found = contextlib.closing(stages() if self.video.live else read_ahead(stages(), 4))
        with found as prepared, contextlib.closing(map_ahead(draw, prepared, workers=2, ahead=ahead)) as drawn:
            for _, future in drawn:
                yield future.result()

    def _prepared(self, found):
        for counter in (*self._lines, *self._zones):
            counter.update(found)
        counts: dict[str, Any] = {}
        if self._lines:
            counts["lines"] = [{"left": line.left, "right": line.right} for line in self._lines]
        if self._zones:
            counts["zones"] = [{"now": zone.now, "total": zone.total} for zone in self._zones]
        return self._drawing.prepare(found), counts

    def _write(self, one):
        for result in self._results:
            result.add(one.found, one.image, one.counts)
        if self._window is not None:
            self._window.show(one.image)
        elif not self._results:
            print(one.found, flush=True)
        self.frames += 1
        self._objects += len(one.found)
        if one.found.track_ids is not None:
            self._tracks |= {*one.found.track_ids.tolist()}

    def _end(self):
        """Finishes the files and says what was found."""
        if not self.frames:
            for result in self._results:
                result.discard()
            self._log.error(f"{self._source}: no frame was done")
            return
        for result in self._results:
            result.finish()
        self._log.objects += self._objects
        if not self._results and not (self._lines or self._zones):
            return
        tracks = f", {len(self._tracks)} tracks" if self._tracks else ""
        into = f": {self._args.out}" if self._results else ""
        print(f"{self._source}: {self.frames} frames, {self._objects} boxes{tracks}{into}")
        for number, line in enumerate(self._lines, 1):
            print(f"  line {number}: {line.left} to the left, {line.right} to the right")
        for number, zone in enumerate(self._zones, 1):
            print(f"  zone {number}: {zone.total} objects in all")

    @contextlib.contextmanager
    def _progress(self):
        """A progress bar on a terminal; yields a function of the number of frames."""
        import sys

        if not self._results or not sys.stderr.isatty():
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
            task = progress.add_task(os.path.basename(self._source) or self._source, total=self.video.frames)
            yield lambda done: progress.update(task, completed=done)
