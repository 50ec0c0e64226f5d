"""What `keras-ssd train` says before the first step and after the last."""

import argparse
import datetime
from typing import TYPE_CHECKING, Any

from keras_ssd.evaluation.origin import Training
from keras_ssd.training.finishing import RULE

if TYPE_CHECKING:
    from keras_ssd.cli.training_setup import Data

WIDTH = 19  # of the left column
START = "ssd_mobilenet_v1.coco"  # the catalogue's small detector, the better start for everyday objects


def table(args: argparse.Namespace, data: "Data", model: Any, plan: Any) -> str:
    """A line for each thing that was decided, as text."""
    settings = plan.settings
    rows = {
        "model": f"{model.name}, {model.count_params():,} parameters",
        "input": "{} x {} pixels (height x width)".format(*model.input_size),
        "anchors": f"{model.anchor_spec.num_anchors:,}{_named(args)}",
        "starting weights": _start(args),
        "images": f"{len(data.training)} to train on, {data.training.num_objects} objects: "
        f"{_counts(data.training.counts())}",
        "validation": _validation(data),
        "epochs": f"{settings.epochs} of {plan.steps} steps of {settings.batch_size} images{_patience(plan)}",
        "schedule": f"{settings.recipe}: highest rate {settings.learning_rate:g}, down to its end in the last epoch"
        if settings.learning_rate
        else f"{settings.recipe}",
        "augmentation": f"{settings.augment or 'none'}, seed {settings.seed}, {settings.precision}{_qat(settings)}",
        "expected end": _end(plan.seconds),
    }
    return "\n".join(f"{name:<{WIDTH}}{text}" for name, text in rows.items() if text)


_KEPT = (
    "No epoch was better than the starting weights, so model.keras has these. A lower --learning-rate or "
    "--freeze changes them less; more images are the surer way."
)


def ended(history: Any) -> str:
    """What there is after the end, as text."""
    best, path = history.best, history.out / "model.keras"
    if history.interrupted:
        lines = [f"best so far: {_rule(best['val_mAP'])}, epoch {int(best['epoch'])}"] if best else []
        more = f"{len(history.rows)} epochs are done; the same command with --resume goes on."
        return "\n".join([*lines, *_file(path), more])
    lines = []
    if history.best_model is not None:
        last, began = history.rows[-1], history.start
        kept = best is None  # the start
        lines += [
            "" if began is None else f"before the first epoch: {began:.3f}",
            f"best on the validation set: {_rule(history.best_model.ap)}, "
            + ("before the first epoch" if kept else f"after epoch {int(best['epoch'])}"),
            f"last epoch, {int(last['epoch'])}: {history.last_model.ap:.3f}",
            _threshold(history.best_model),
            history.best_model.calibrated and str(history.best_model.calibrated),
            _KEPT if kept else _still_rising(history),
        ]
    return "\n".join([*filter(None, lines), *_file(path)])


def _rule(value):
    return f"{value:.3f} {RULE}"


def _file(path):
    if not path.exists():
        return []
    return [f"{path}: {path.stat().st_size / 1e6:.1f} MB. Try it: keras-ssd detect IMAGE --weights {path}"]


def _threshold(measured):
    point, confidence = measured.point, measured.confidence
    if confidence is None:
        return "confidence: no threshold finds an object, so the model has none of its own"
    return (
        f"confidence: {confidence}, where {point.recall:.0%} of the objects are found and {point.precision:.0%} of the "
        f"boxes are right; kept in the model"
    )


def _still_rising(history):
    """Advice where the last epochs still brought something, by the rule of the report."""
    progress = Training(history.rows).progress()
    if progress is None:
        return ""
    name, before, end = progress
    what = "The AP still rose" if name == "val_mAP" else "The loss still fell"
    return f"{what} at the end, from {before:.3f} to {end:.3f}: more --epochs are likely to bring more."


def _counts(counts, most=6):
    parts = [f"{name} {count}" for name, count in sorted(counts.items(), key=lambda each: -each[1])]
    return ", ".join(parts[:most]) + (f", ... ({len(parts) - most} more)" if len(parts) > most else "")


def _qat(settings):
    return ", rounding as an int8 file does" if settings.qat else ""


def _named(args):
    return f", {args.anchors}" if args.anchors else ""


def _start(args):
    from keras_ssd import zoo
    from keras_ssd.cli.training_setup import SHIPPED, starting_weights

    start = starting_weights(args)
    if start is None and args.model not in (None, "ssd_small"):
        return "none: from nothing"
    if start not in (None, SHIPPED):
        return str(start)
    reach = "on this disk" if zoo.cached(START) else "a download of 4 MB"
    own = "none: from nothing" if start is None else f"{SHIPPED}: the backbone, which ships with this package"
    return f"{own}. Everyday objects are learnt better from COCO's weights ({reach}):\n{'':<{WIDTH}}--weights {START}"


def _validation(data):
    if data.validation is None:
        return f"WARNING, {data.how}"
    return f"{len(data.validation)} images, {data.validation.num_objects} objects, {data.how}"


def _patience(plan):
    return "" if plan.patience is None else f", fewer if {plan.patience} in a row stay 0.005 below the best AP"


def _end(seconds):
    if seconds is None:
        return ""
    at = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
    return f"in {max(1, round(seconds / 60))} min, at {at:%H:%M}"
