"""`keras-ssd detect`: boxes on images from the shell."""

import argparse
import contextlib
import logging
import os
import sys
import warnings

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    FORMATS,
    VIDEO_FORMATS,
    add_class_names,
    add_engine,
    add_map_limit,
    add_tiles,
    class_names,
    class_words,
    count,
    format_list,
    fraction,
)
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.detect_video import add_video_arguments, run_videos, videos_among
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Find objects in images: files, folders, patterns in quotes, URLs, or - for an
image from standard input. Or in videos: files, GIFs, camera:0, streams
(rtsp://...), folders of frames; --track follows the objects.

Without --out a table is printed for each image or frame. With --out the images
or videos are written there with boxes drawn on them, and --format chooses what
else or instead."""

EPILOG = """\
examples:
  keras-ssd detect street.jpg --weights voc07+12
  keras-ssd detect photos/ --weights coco --classes person,dog --out found
  keras-ssd detect 'shots/**/*.png' --weights mine.keras --out found \\
      --format json,csv
  keras-ssd detect photos/ --weights mine.keras --engine openvino
  keras-ssd detect harbour.jpg --weights mine.keras --tiles 640
  keras-ssd detect street.mp4 --weights coco --out found --track
  keras-ssd detect camera:0 --weights coco --show --count-line 0,240,640,240
  keras-ssd detect road.png --weights ssd7_traffic.h5 \\
      --class-names car,truck,pedestrian,bicyclist,light

files in the output folder:
  images         the inputs with boxes, under the same names; an input is
                   never overwritten
  detections.json  a list with one object per image:
                     source (string), height, width (pixels),
                     class_names (list of strings),
                     detections: list of {name, class_id (place in class_names),
                     score (0..1), box_xyxy: [xmin, ymin, xmax, ymax] in
                     pixels}, best first
  detections.csv   source,width,height,class,score,xmin,ymin,xmax,ymax;
                   one line per object

files of a video (--format video,jsonl by default):
  NAME.mp4         the frames with boxes, at their times, with the sound; with
                   --track a colour and a number for each object, and its way
  NAME.gif         the same as a GIF
  NAME.jsonl       a line per frame: as in detections.json, with frame (from 0),
                   time (seconds), a track_id (from 1) for each detection, and
                   the counts of lines and zones
  NAME.txt         mot: the tracks as MOTChallenge's programs read them

An image, a frame or a part of a video that cannot be read is named on standard
error, the others are done, and the exit code is 1. It is 0 when all went well
and 2 when nothing could be done.
"""
ARGUMENTS = {"weights_classes": "--class-names"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `detect` to the parser's commands."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="image, folder, pattern, URL, -, video, stream, or camera:0"
    )
    parser.add_argument("--recursive", "-r", action="store_true", help="take the images in folders below, too")
    parser.add_argument(
        "--weights",
        "-w",
        required=True,
        action="append",
        help="name from `keras-ssd zoo list` (a tag such as voc07+12 alone is SSD300's), or a .keras, .h5, .npz, "
        ".caffemodel, .tflite or .pth file, or an exported .onnx or .xml; given several times, the first that can "
        "be had is used",
    )
    parser.add_argument("--model", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    parser.add_argument("--out", "-o", metavar="DIR", help="folder to write to; made if it is missing")
    parser.add_argument(
        "--format",
        "-f",
        type=format_list,
        metavar="LIST",
        help=f"what to write to --out, any of {','.join(FORMATS)} (default: images); of videos any of "
        f"{','.join(VIDEO_FORMATS)} (default: video,jsonl)",
    )
    parser.add_argument("--classes", type=class_words, metavar="LIST", help="report these classes alone: person,dog")
    parser.add_argument(
        "--confidence",
        "-c",
        type=fraction,
        help="lowest score, 0..1 (default: the model's own, which `train` finds on validation images, or else 0.5)",
    )
    parser.add_argument(
        "--iou-threshold",
        "--iou",
        metavar="SHARE",
        type=fraction,
        help="overlap above which two boxes are one object (default: 0.45)",
    )
    parser.add_argument("--batch-size", "-b", type=count, default=8, help="images at once (default: 8)")
    add_engine(parser)
    add_tiles(parser)
    add_map_limit(parser)
    parser.add_argument("--max-pixels", type=count, help="refuse larger images (default: 89478485)")
    add_video_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from keras_ssd.cli.results import prepare_folder

    if args.format and not args.out:
        raise ValueError("--format says what to write to a folder, and none is given. Add --out DIR.")
    videos = videos_among(args)
    made = args.out and not os.path.exists(args.out)
    folder = prepare_folder(args.out) if args.out else None
    # Pillow's own warning of a huge image would only repeat the error that names it.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    log = _Log()
    try:
        if videos:
            return run_videos(args, videos, folder, log, lambda: _opened(args, log))
        return _run(args, folder, log)
    finally:
        if folder and made and not log.done:
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing was done, and nothing is left behind


def _run(args, folder, log):
    sources = _sources(args, log)
    if not sources:
        return 2
    results = _results(folder, args.format, sources)
    try:
        with _frames_told(log):
            _detect_all(args, sources, results, log)
    except KeyboardInterrupt:
        _close(results, log.done)
        log.error(f"interrupted after {log.done} of {len(sources)} images; what was found so far is kept")
        return 130
    except BaseException:
        _close(results, 0)
        raise
    _close(results, log.done)
    if args.out and log.done:
        print(f"{log.done} of {len(sources)} images, {log.objects} objects: {args.out}")
    return int(log.failed > 0) if log.done else 2


class _Log:
    """Counts, and error lines that a progress bar does not swallow."""

    def __init__(self):
        self.done = self.objects = self.failed = 0
        self.console = None

    def error(self, message):
        self.note(f"keras-ssd detect: {message}")

    def note(self, line):
        if self.console is not None:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)

    def failure(self, error):
        from keras_ssd.images import ImagesBelowError, ImageTooLargeError

        self.failed += 1
        if isinstance(error, ImagesBelowError):
            error = ImagesBelowError(error.folder, error.below, option="--recursive")
        if isinstance(error, ImageTooLargeError):
            error = ImageTooLargeError(error.source, error.size, error.limit, option="--max-pixels")
        self.error(error)


def _sources(args, log):
    """Every image that is named; an item that names none is an error of its own."""
    from keras_ssd.images import ImageError, split_sources

    def tell_below(folder, below):
        log.error(f"{below} images lie in folders below {folder} and are left out; --recursive takes them too")

    given = [_from_standard_input() if source == "-" else source for source in args.sources]
    found = []
    for part in split_sources(given, args.recursive, tell_below):
        try:
            found += part()
        except ImageError as error:
            log.failure(error)
    return found


def _from_standard_input():
    from keras_ssd.images import Source
    from keras_ssd.images.reading import bytes_of

    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError("- stands for an image from standard input, and nothing is piped into it.")
    return Source(bytes_of(sys.stdin.buffer, "standard input"), "standard input")


@contextlib.contextmanager
def _frames_told(log):
    """Says of a GIF or TIFF of several frames that the first is used."""

    class Telling(logging.Handler):
        def emit(self, record):
            log.error(record.getMessage())

    logger, handler = logging.getLogger("keras_ssd.images"), Telling(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _results(folder, formats, sources):
    from keras_ssd.cli.results import CsvResults, ImageResults, JsonResults

    if folder is None:
        return []
    makers = {
        "images": lambda: ImageResults(folder, sources),
        "json": lambda: JsonResults(folder),
        "csv": lambda: CsvResults(folder),
    }
    return [makers[name]() for name in formats or ("images",)]


def _close(results, done):
    for result in results:
        if done:
            result.finish()
        else:
            result.discard()


def _detect_all(args, sources, results, log):
    """Detects in every image and hands what was found to the results."""
    from keras_ssd.reading_ahead import map_ahead

    found = _open_and_detect(args, sources, log)

    def write(one):
        for result in results:
            result.add(one)
        if not results:
            print(one, flush=True)
        log.done += 1
        log.objects += len(one)

    # One thread draws and writes while the network computes; a single one, so that the order stays.
    written = contextlib.closing(map_ahead(write, found, workers=1, ahead=4))
    with _progress(len(sources), bool(results), log) as advance, written as writings:
        for _, writing in writings:
            writing.result()
            advance(log.done + log.failed)


def _open_and_detect(args, sources, log):
    """The generator of what is found, with the model opened and every argument checked."""
    from keras_ssd.detecting import detect

    model = _opened(args, log)
    options = {"max_pixels": args.max_pixels} if args.max_pixels else {}
    return detect(
        model,
        sources,
        confidence=args.confidence,
        classes=args.classes,
        batch_size=args.batch_size,
        iou_threshold=args.iou_threshold,
        on_error=log.failure,
        engine=args.engine,
        precision=args.precision,
        tiles=args.tiles,
        overlap=args.overlap,
        **options,
    )


def _opened(args, log):
    """The model, and a word about its confidence."""
    from keras_ssd.decoding import confidence_of

    quiet_first_operation()
    model = _open_first(args.weights, args.model, class_names(args.class_names), log)
    if args.confidence is None and getattr(model, "confidence", None):
        log.note(f"confidence {confidence_of(model)}; --confidence sets another one")
    return model


def _open_first(weights, model, names, log):
    """The model of the first weights that can be had.

    A file that is missing or a download that fails leads on to the next; a misspelt name or a file that does not fit
    is an error at once, because other weights would hide it.
    """
    from keras_ssd.opening import open_model
    from keras_ssd.zoo import DownloadError

    failures = []
    for place, name in enumerate(weights):
        try:
            return open_model(name, model=model, class_names=names)
        except (FileNotFoundError, DownloadError) as error:
            if len(weights) == 1:
                raise
            failures.append(error)
            if place + 1 < len(weights):
                problem = "could not be downloaded" if isinstance(error, DownloadError) else "are not there"
                log.error(f"weights {name} {problem}; trying {weights[place + 1]}")
    reasons = "\n".join(f"- {error}" for error in failures)
    raise FileNotFoundError(f"none of the {len(weights)} weights can be had:\n{reasons}")


@contextlib.contextmanager
def _progress(total, wanted, log):
    """A progress bar on a terminal; yields a function that sets how many images are behind us."""
    if total < 2 or not wanted or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("detecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
        task = progress.add_task("detecting", total=total)
        log.console = progress.console
        try:
            yield lambda count: progress.update(task, completed=count)
        finally:
            log.console = None
