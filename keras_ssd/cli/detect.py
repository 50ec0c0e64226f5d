"""`keras-ssd detect`: boxes on pictures from the shell.

Exit codes: 0 every picture was done; 1 some could not be read (each is named on standard error, the rest is
done); 2 nothing could be done.
"""

import argparse
import contextlib
import os
import sys
import warnings

FORMATS = ("pictures", "json", "csv")

DESCRIPTION = """\
Find objects in pictures: files, folders, patterns in quotes, or URLs.

Without --out a table is printed for each picture. With --out the pictures are
written there with boxes drawn on them, and --format chooses what else or instead."""

EPILOG = """\
examples:
  keras-ssd detect street.jpg --weights voc07+12
  keras-ssd detect photos/ --weights coco --classes person,dog --out found
  keras-ssd detect 'shots/**/*.png' --weights mine.keras --out found --format json,csv
  keras-ssd detect road.png --weights ssd7_traffic.h5 --labels car,truck,pedestrian,bicyclist,light

files in the output folder:
  pictures         the inputs with boxes, under the same names; an input is never overwritten
  detections.json  a list with one object a picture:
                     source (string), height, width (pixels), class_names (list of strings),
                     detections: list of {name, class_id (place in class_names), score (0..1),
                     box_xyxy: [xmin, ymin, xmax, ymax] in pixels}, best first
  detections.csv   source,width,height,class,score,xmin,ymin,xmax,ymax; one line an object

A picture that cannot be read is named on standard error, the others are done, and the
exit code is 1. It is 0 when all went well and 2 when nothing could be done.
"""


def add_parser(commands):
    """Adds the command `detect` to the parser's commands."""
    parser = commands.add_parser(
        "detect",
        help="find objects in pictures",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="picture, folder, pattern or URL")
    parser.add_argument(
        "--weights", "-w", required=True, help="name from `keras-ssd zoo list`, or a .keras, .h5 or .npz file"
    )
    parser.add_argument("--model", help="ssd300, ssd512 or ssd7, where the weights do not tell")
    parser.add_argument("--labels", help="class names, where the weights do not tell: voc, coco, a,b,c or a text file")
    parser.add_argument("--out", "-o", metavar="DIR", help="folder to write to; made if it is missing")
    parser.add_argument(
        "--format",
        "-f",
        type=_formats,
        metavar="LIST",
        help=f"what to write to --out, any of {','.join(FORMATS)} (default: pictures)",
    )
    parser.add_argument("--classes", type=_names, metavar="LIST", help="report these classes alone: person,dog")
    parser.add_argument("--confidence", "-c", type=_fraction, default=0.5, help="lowest score, 0..1 (default: 0.5)")
    parser.add_argument("--iou", type=_fraction, help="overlap above which two boxes are one object (default: 0.45)")
    parser.add_argument("--batch-size", "-b", type=_count, default=8, help="pictures at once (default: 8)")
    parser.add_argument("--max-pixels", type=_count, help="refuse larger pictures (default: 89478485)")
    parser.set_defaults(run=run)


def run(args):
    """Runs the command.

    Args:
        args: the parsed arguments of `add_parser`.

    Returns:
        The exit code.

    Raises:
        ValueError, OSError: nothing could be done; the text is for the user.
    """
    from keras_ssd.cli.results import prepare_folder

    if args.format and not args.out:
        raise ValueError("--format says what to write to a folder, and none is given. Add --out DIR.")
    if args.out:
        prepare_folder(args.out)
    # Pillow's own warning of a huge picture would only repeat the error that names it.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    log = _Log()
    sources = _sources(args.sources, log)
    if not sources:
        return 2
    results = _results(args, sources)
    try:
        _detect_all(args, sources, results, log)
    except KeyboardInterrupt:
        _close(results, log.done)
        log.error(f"interrupted after {log.done} of {len(sources)} pictures; what was found so far is kept")
        return 130
    except BaseException:
        _close(results, 0)
        raise
    _close(results, log.done)
    if args.out and log.done:
        print(f"{log.done} of {len(sources)} pictures, {log.objects} objects: {args.out}")
    return int(log.failed > 0) if log.done else 2


class _Log:
    """Counts, and error lines that a progress bar does not swallow."""

    def __init__(self):
        self.done = self.objects = self.failed = 0
        self.console = None

    def error(self, message):
        line = f"keras-ssd detect: {message}"
        if self.console is not None:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)

    def failure(self, error):
        self.failed += 1
        self.error(error)


def _sources(given, log):
    """Every picture that is named; an item that names none is an error of its own."""
    from keras_ssd.pictures import PictureError, split_sources

    found = []
    for part in split_sources(given):
        try:
            found += part()
        except PictureError as error:
            log.failure(error)
    return found


def _results(args, sources):
    from keras_ssd.cli.results import CsvResults, JsonResults, PictureResults, prepare_folder

    if not args.out:
        return []
    folder = prepare_folder(args.out)
    makers = {
        "pictures": lambda: PictureResults(folder, sources),
        "json": lambda: JsonResults(folder),
        "csv": lambda: CsvResults(folder),
    }
    return [makers[name]() for name in args.format or ("pictures",)]


def _close(results, done):
    for result in results:
        if done:
            result.finish()
        else:
            result.discard()


def _detect_all(args, sources, results, log):
    """Detects in every picture and hands what was found to the results."""
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
    from keras_ssd.cli.quiet import quiet_backend

    with quiet_backend():
        import keras

        from keras_ssd.detect import detect

        keras.ops.zeros(1)  # TensorFlow names its devices at the first operation
    from keras_ssd.models.opening import open_model

    model = open_model(args.weights, model=args.model, class_names=_labels(args.labels))
    options = {"max_pixels": args.max_pixels} if args.max_pixels else {}
    return detect(
        model,
        [source.picture for source in sources],
        confidence=args.confidence,
        classes=args.classes,
        batch_size=args.batch_size,
        iou_threshold=args.iou,
        on_error=log.failure,
        **options,
    )


def _labels(given):
    """Class names from --labels, or None."""
    if given is None:
        return None
    if os.path.isfile(given):
        with open(given, encoding="utf-8") as file:
            names = [line.strip() for line in file if line.strip()]
        if not names:
            raise ValueError(f"The label file {given} is empty. Expected one class name a line.")
        return tuple(names)
    if "," in given:
        return _names(given)
    from keras_ssd.zoo import label_sets, labels

    if given not in label_sets() and ("." in given or os.sep in given):
        raise ValueError(f"There is no label file {given}.")
    return labels(given)


@contextlib.contextmanager
def _progress(total, wanted, log):
    """A progress bar on a terminal; yields a function that sets how many pictures are behind us."""
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


def _names(text):
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return names


def _formats(text):
    names = _names(text)
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected any of {', '.join(FORMATS)}; received {', '.join(unknown)}")
    return tuple(dict.fromkeys(names))


def _fraction(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number in 0..1; received {text}")
    return value


def _count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on; received {text}")
    return value
