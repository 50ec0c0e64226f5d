"""Arguments that a function does not have: one error with the name that was meant; and second names that work."""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

from keras_ssd.names import nearest

# {former name of an argument: its name}. Both work in every function that has the second; the first with a warning.
_FORMER = {
    "picture": "image",
    "pictures": "images",
    "picture_id": "image_id",
    "pictures_in_memory": "images_in_memory",
    "rate": "learning_rate",
}

T = TypeVar("T", bound=Callable[..., Any])

# Name in other libraries: possible names here, the likeliest first; used if a function has such an argument.
_ELSEWHERE = (
    ("num_classes n_classes nc number_of_classes", "classes class_names"),
    ("labels names class_names class_list label_map categories classes", "class_names classes weights_classes"),
    (
        "conf conf_thres conf_thresh conf_threshold confidence confidence_thresh confidence_threshold score_thresh "
        "score_threshold min_confidence min_score box_score_thresh threshold",
        "confidence confidence_threshold",
    ),
    ("iou iou_thres iou_thresh nms nms_thres nms_thresh nms_threshold nms_iou_threshold overlap", "iou_threshold"),
    ("max_det max_detections max_predictions detections_per_img max_boxes_to_draw limit", "keep_top_k"),
    ("nms_max_output_size topk_candidates nms_top_k pre_nms_top_k", "top_k"),
    ("agnostic agnostic_nms", "class_agnostic"),
    ("imgsz img_size image_shape input_shape size shape resolution image_size input_size", "input_size image_size"),
    ("target_size resize", "size_hw input_size image_size"),
    ("pretrained pretrained_weights weights_path checkpoint ckpt load_weights", "weights"),
    ("weights_backbone backbone_weights", "weights"),
    ("images image pictures picture imgs img pics files inputs input source paths", "sources images image"),
    ("path file filename filepath model_path file_path source", "path"),
    ("batch bs batchsize", "batch_size"),
    ("lr lr0 rate initial_lr", "learning_rate"),
    ("num_epochs n_epochs nb_epoch nb_epochs", "epochs"),
    ("validation_data val val_data val_set val_dataset validation valid_set", "validation_set"),
    ("train_data train_dataset dataset data training_set", "train_set dataset data"),
    ("num_workers n_jobs threads", "workers"),
    ("output output_dir out_dir save_dir project folder", "out folder path"),
    ("l2_reg l2_regularization weight_decay regularization", "l2 weight_decay"),
    ("alpha width_multiplier depth_multiplier", "width"),
    ("trainable freeze_backbone trainable_backbone_layers frozen freeze_layers", "freeze"),
    ("subset image_set", "split"),
    ("augmentation augmentations transform transforms", "augment"),
    ("random_state random_seed", "seed"),
    ("verbose show_progress", "progress display"),
    ("optimizer schedule", "recipe"),
    ("scales aspect_ratios anchor_generator steps offsets priors anchor_sizes", "anchors spec"),
    ("subtract_mean mean_color pixel_mean image_mean", "mean"),
    ("divide_by_stddev pixel_std image_std", "std"),
    ("negative_ratio hard_negative_ratio", "neg_pos_ratio"),
    ("class_weight", "class_weights"),
    ("boxes bboxes bbox", "boxes_xyxy"),
    ("fraction ratio test_size", "fractions"),
    ("mode confidence_thresh", "decoding"),
)


@overload
def checked_arguments(made: T, /) -> T: ...
@overload
def checked_arguments(**second_names: str) -> Callable[[T], T]: ...
def checked_arguments(made: Any = None, /, **second_names: str) -> Any:
    """Lets a function or class name the nearest argument if it gets an unknown one.

    `help`, `inspect` and editors still show its signature.

    Args:
        made: the function or class.
        **second_names: {another name: the argument that it sets}.

    Raises:
        TypeError: a function with `**kwargs`.

    Example:
        >>> @checked_arguments(class_names="classes")
        ... def read(path, *, classes=None): ...
    """
    if made is None:
        return lambda made: _checked(made, second_names)
    return _checked(made, second_names)


def _checked(made, second_names):
    function = vars(made)["__init__"] if isinstance(made, type) else made
    known = _known(made, function)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if not kwargs.keys() <= known:
            kwargs = _sorted_out(made.__name__, kwargs, known, second_names)
        return function(*args, **kwargs)

    checked: Any = wrapped
    checked.__signature__ = inspect.signature(function)  # Keras asks for it without following what is wrapped
    checked.second_names = dict(second_names)
    if not isinstance(made, type):
        return checked
    made.__init__ = checked
    return made


def _known(made, function):
    """Names that can be given; a class that hands the rest to its base has those of the base too."""
    kinds = inspect.Parameter
    chain = [function]
    if isinstance(made, type):
        chain += [vars(base)["__init__"] for base in made.__mro__[1:-1] if "__init__" in vars(base)]
    names = {}
    for one in chain:
        parameters = list(inspect.signature(one).parameters.values())
        names |= {
            parameter.name: None
            for parameter in parameters[isinstance(made, type) :]
            if parameter.kind in (kinds.KEYWORD_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        }
        if all(parameter.kind != kinds.VAR_KEYWORD for parameter in parameters):
            return names.keys()
    if not isinstance(made, type):
        raise TypeError(f"{made.__name__} takes arguments of any name, and none can be unknown.")
    return names.keys()


def _sorted_out(name, kwargs, known, second_names):
    """The arguments under their own names.

    Raises:
        TypeError: one that is not known, or one that is given under both names.
    """
    renamed, unknown = {}, []
    for given, value in kwargs.items():
        own = second_names.get(given, given)
        if own not in known and _FORMER.get(given) in known:
            own = _FORMER[given]
            warn_of_former_name(f"{name}({given}=)", f"`{own}`", stacklevel=4)
        if own not in known:
            unknown.append(given)
        elif own in renamed or (own != given and own in kwargs):
            raise TypeError(f"{name}() takes `{own}` or `{given}`, which are the same argument. Received: both")
        renamed[own] = value
    if unknown:
        raise TypeError(unknown_arguments(name, unknown, known))
    return renamed


def warn_of_former_name(former: str, name: str, stacklevel: int = 3) -> None:
    """Says that something is used by its former name, which still works."""
    warnings.warn(f"{former} is the former name of {name}, and will go.", DeprecationWarning, stacklevel=stacklevel)


def former_attributes(**names: str) -> Callable[[T], T]:
    """Gives a class attributes by their former names, which warn.

    Args:
        **names: {former name: name}.

    Example:
        >>> @former_attributes(picture="image")
        ... class Tile:
        ...     image = 1
    """

    def decorated(made):
        for former, name in names.items():
            setattr(made, former, property(functools.partial(_former, former, name), doc=f"Former name of `{name}`."))
        return made

    return decorated


def _former(former, name, one):
    warn_of_former_name(f"{type(one).__name__}.{former}", f"`{name}`")
    return getattr(one, name)


def unknown_arguments(name: str, unknown: Iterable[str], known: Iterable[str]) -> str:
    """The text for arguments that a function does not have."""
    shown = [argument for argument in known if argument != "self"]
    lines = []
    for argument in unknown:
        meant = meant_arguments(argument, shown)
        hint = f" Did you mean {' or '.join(f'`{one}`' for one in meant)}?" if meant else ""
        lines.append(f"{name}() has no argument `{argument}`.{hint}")
    return " ".join([*lines, f"It takes: {', '.join(shown) or 'none'}."])


def meant_arguments(argument: str, known: Sequence[str]) -> list[str]:
    """The arguments that have this name in other libraries, or else a similar spelling."""
    for words, own in _ELSEWHERE:
        here = [name for name in own.split() if name in known and name != argument]
        if here and argument.casefold() in words.split():
            return here[:2]
    return nearest(argument, known, count=2)
