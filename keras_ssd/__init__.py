"""SSD (Single Shot MultiBox Detector) for Keras 3.

>>> import keras_ssd
>>> model = keras_ssd.ssd300(weights="voc07+12")
>>> for found in model.detect(["street.jpg"]):
...     print(found)

The public names are those of `__all__`; everything else may move between releases.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ssd import _environment
from keras_ssd._version import __version__ as __version__

if TYPE_CHECKING:
    from keras_ssd import anchors as anchors
    from keras_ssd import backbones as backbones
    from keras_ssd import boxes as boxes
    from keras_ssd import callbacks as callbacks
    from keras_ssd import data as data
    from keras_ssd import doctor as doctor
    from keras_ssd import evaluation as evaluation
    from keras_ssd import formats as formats
    from keras_ssd import labelling as labelling
    from keras_ssd import layers as layers
    from keras_ssd import losses as losses
    from keras_ssd import tracking as tracking
    from keras_ssd import video as video
    from keras_ssd import zoo as zoo
    from keras_ssd.anchors import AnchorLevel as AnchorLevel
    from keras_ssd.anchors import AnchorRecipe as AnchorRecipe
    from keras_ssd.anchors import AnchorSpec as AnchorSpec
    from keras_ssd.anchors import RecipeLevel as RecipeLevel
    from keras_ssd.backbones import ConvRow as ConvRow
    from keras_ssd.box_coder import Predictions as Predictions
    from keras_ssd.caffe.exporter import CaffeExport as CaffeExport
    from keras_ssd.caffe.exporter import to_caffe as to_caffe
    from keras_ssd.caffe.importer import from_caffe as from_caffe
    from keras_ssd.decoding import DecodeOptions as DecodeOptions
    from keras_ssd.decoding import decode_arrays as decode_arrays
    from keras_ssd.demonstration import demo as demo
    from keras_ssd.detecting import detect as detect
    from keras_ssd.detections import Detections as Detections
    from keras_ssd.encoder import TargetEncoder as TargetEncoder
    from keras_ssd.evaluation.calibrating import calibrate as calibrate
    from keras_ssd.exporters.onnx import to_onnx as to_onnx
    from keras_ssd.exporting import Exported as Exported
    from keras_ssd.exporting import export as export
    from keras_ssd.labelling import label as label
    from keras_ssd.layers import AnchorBoxes as AnchorBoxes
    from keras_ssd.layers import DecodeDetections as DecodeDetections
    from keras_ssd.layers import L2Normalization as L2Normalization
    from keras_ssd.losses import SSDLoss as SSDLoss
    from keras_ssd.losses import SSDLossMetric as SSDLossMetric
    from keras_ssd.map_limits import map_limit as map_limit
    from keras_ssd.matching import MatchRules as MatchRules
    from keras_ssd.models import SSD as SSD
    from keras_ssd.models import Extra as Extra
    from keras_ssd.models import Tap as Tap
    from keras_ssd.models import load as load
    from keras_ssd.models import mobilenet_ssd as mobilenet_ssd
    from keras_ssd.models import ssd as ssd
    from keras_ssd.models import ssd7 as ssd7
    from keras_ssd.models import ssd300 as ssd300
    from keras_ssd.models import ssd512 as ssd512
    from keras_ssd.models import ssd_mobilenet_v1 as ssd_mobilenet_v1
    from keras_ssd.models import ssd_small as ssd_small
    from keras_ssd.models import ssdlite320 as ssdlite320
    from keras_ssd.models import with_anchors as with_anchors
    from keras_ssd.models import with_classes as with_classes
    from keras_ssd.models import with_decoder as with_decoder
    from keras_ssd.opening import open_model as open_model
    from keras_ssd.pruning import prune as prune
    from keras_ssd.training import CaffeSGD as CaffeSGD
    from keras_ssd.training import recipes as recipes
    from keras_ssd.training import train as train
    from keras_ssd.tuning import tune as tune

# {module: what is public of it}, imported when it is first asked for: the block above for programs that run. Nothing
# here depends on how the process was started.
_HOMES = {
    "keras_ssd": (
        *("anchors", "backbones", "boxes", "callbacks", "data", "doctor", "evaluation", "formats"),
        *("labelling", "layers", "losses", "tracking", "video", "zoo"),
    ),
    "keras_ssd.anchors": ("AnchorLevel", "AnchorRecipe", "AnchorSpec", "RecipeLevel"),
    "keras_ssd.backbones": ("ConvRow",),
    "keras_ssd.box_coder": ("Predictions",),
    "keras_ssd.decoding": ("DecodeOptions", "decode_arrays"),
    "keras_ssd.demonstration": ("demo",),
    "keras_ssd.detecting": ("detect",),
    "keras_ssd.detections": ("Detections",),
    "keras_ssd.encoder": ("TargetEncoder",),
    "keras_ssd.caffe.exporter": ("CaffeExport", "to_caffe"),
    "keras_ssd.evaluation.calibrating": ("calibrate",),
    "keras_ssd.exporters.onnx": ("to_onnx",),
    "keras_ssd.exporting": ("Exported", "export"),
    "keras_ssd.caffe.importer": ("from_caffe",),
    "keras_ssd.labelling": ("label",),
    "keras_ssd.layers": ("AnchorBoxes", "DecodeDetections", "L2Normalization"),
    "keras_ssd.losses": ("SSDLoss", "SSDLossMetric"),
    "keras_ssd.map_limits": ("map_limit",),
    "keras_ssd.matching": ("MatchRules",),
    "keras_ssd.models": (
        *("SSD", "Extra", "Tap", "load", "mobilenet_ssd", "ssd", "ssd7", "ssd300", "ssd512"),
        *("ssd_mobilenet_v1", "ssd_small", "ssdlite320", "with_anchors", "with_classes", "with_decoder"),
    ),
    "keras_ssd.opening": ("open_model",),
    "keras_ssd.pruning": ("prune",),
    "keras_ssd.training": ("CaffeSGD", "recipes", "train"),
    "keras_ssd.tuning": ("tune",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'keras_ssd' has no attribute {name!r}")
    home = _HOME[name]
    if home == __name__:
        found = importlib.import_module(f"{home}.{name}")
    else:
        module = importlib.import_module(home)
        found = getattr(module, name, None) or importlib.import_module(f"{home}.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


# `keras.saving.load_model` finds the classes of this package only once they are imported.
if _environment.loads_keras():
    _environment.load_keras()
    _environment.register_classes()
