"""The model class: a functional `keras.Model` with anchors and classes."""

import dataclasses
import functools
import inspect
import os
from collections.abc import Generator, Sequence
from typing import Any

import keras

from keras_ssd import detect_method
from keras_ssd._version import __version__
from keras_ssd.anchors import AnchorSpec, Levels
from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import Confidence, DecodeOptions, ScoreCalibration
from keras_ssd.detections import Detections
from keras_ssd.keras_private import was_called
from keras_ssd.layers import AnchorBoxes, DecodeDetections
from keras_ssd.map_limits import check_model
from keras_ssd.models import keras_checks as checks
from keras_ssd.models.composition import Composition
from keras_ssd.models.feeding import fit_without_end, telling_failures
from keras_ssd.replacing import replacing
from keras_ssd.zoo.label_fitting import fitted_names


@keras.saving.register_keras_serializable("keras_ssd")
class SSD(keras.Model):
    """A functional `keras.Model` from RGB images to raw predictions, or to detections.

    It is a `keras.Model` like any other: `fit`, `save`, `summary`, `export` and callbacks work. Its `.keras` file also
    holds the anchors (in the layer `AnchorBoxes`), the preprocessing (in the layer `preprocessing`), the class names
    and the package's version.

    Args:
        inputs, outputs, name: as of a functional `keras.Model`.
        class_names: names of the classes without background; none gives `class_0`, `class_1`, ... They can be set
            later.
        decoding: default options of `DecodeDetections` for this model, such as the thresholds of an imported net or
            `{"scores": "sigmoid"}`. None is the original SSD's.
        sources: names of the layers whose outputs the heads read, one per level, if a factory knows them.

    Attributes:
        weights_report: the loaded, sub-sampled and initialised weights; `print` it. None without `weights`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # By this very signature every supported version of Keras knows a class that is saved and cloned as a
        # functional model.
        class_names = kwargs.pop("class_names", ())
        decoding = kwargs.pop("decoding", None) or {}
        sources = kwargs.pop("sources", ())
        super().__init__(*args, **kwargs)
        check_model(self)
        told = self._told_by_layer()  # by a model that this one is a clone of
        self._class_names: tuple[str, ...] = ()
        self._sources = tuple(sources or told.get("sources", ()))
        self._decoding = dict(decoding or told.get("decoding", {}))
        DecodeOptions(**self._decoding)  # refuses what it does not know
        self._saved_with = told.get("keras_ssd_version", __version__)
        self._confidence: Confidence | None = None
        self.weights_report: Any = None
        names = class_names or told.get("class_names", ())
        if class_names or (names and len(names) == self.num_classes):  # a clone may have heads for other classes
            self.class_names = names
            if told.get("confidence") and list(names) == list(told["class_names"]):
                self._confidence = Confidence.from_dict(told["confidence"])
        self._tell_layer()
        self.quantize = functools.partial(checks.refuse_quantizing, self.name)  # Keras puts its own into each model

    @property
    def anchor_spec(self) -> AnchorSpec:
        """The `AnchorSpec` that the predictions refer to."""
        return self._one_layer(AnchorBoxes).spec

    @property
    def levels(self) -> Levels:
        """The `AnchorLevel`s of the feature maps, finest first: what `keras_ssd.anchors.fit` makes boxes for."""
        return Levels.of(self.anchor_spec)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers that the heads read, one per level; empty for models that no factory made."""
        return self._sources

    @property
    def composition(self) -> Composition:
        """A `Composition`: what each head reads and which anchors it has; `print` it."""
        return Composition.of(self)

    @property
    def num_classes(self) -> int:
        """Classes without background."""
        return Predictions.classes_in(self._one_layer(AnchorBoxes).output.shape[-1])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes without background; class id i of a detection is entry i."""
        return self._class_names or tuple(f"class_{i}" for i in range(self.num_classes))

    @class_names.setter
    def class_names(self, names: Sequence[str]) -> None:
        fitted = fitted_names("class_names", names, self.num_classes)
        if fitted is None:
            raise ValueError(
                f"`class_names` must name the model's {self.num_classes} classes, without background. "
                f"Received: {len(names)} names"
            )
        self._class_names = tuple(fitted)
        self._tell_layer(renamed=True)

    @property
    def decoding(self) -> dict[str, Any]:
        """Options of `DecodeDetections` for this model that differ from the original SSD's."""
        return dict(self._decoding)

    @property
    def confidence(self) -> Confidence | None:
        """The default `Confidence` of `detect`, chosen in training; None if there is none."""
        return self._confidence

    @confidence.setter
    def confidence(self, confidence: Confidence) -> None:
        if not isinstance(confidence, Confidence):
            raise TypeError(f"`confidence` must be a `Confidence`. Received: confidence={confidence!r}")
        self._confidence = confidence
        self._tell_layer()

    @property
    def calibration(self) -> ScoreCalibration | None:
        """The `ScoreCalibration` of the scores that are reported, see `keras_ssd.calibrate`; None without one."""
        found = DecodeOptions(**self._decoding).calibration
        return found or None

    @calibration.setter
    def calibration(self, calibration: ScoreCalibration | None) -> None:
        before, after = self.calibration or ScoreCalibration(), calibration or ScoreCalibration()
        told = {"temperature": after.temperature, "score_shift": after.shift} if after else {}
        kept = {name: value for name, value in self._decoding.items() if name not in ("temperature", "score_shift")}
        self._decoding = {**kept, **told}
        if self._confidence is not None:  # of the new scores, so that it lets the same detections through
            value = float(after.apply(before.undo(self._confidence.value)))
            self._confidence = dataclasses.replace(self._confidence, value=value)
        self._tell_layer()

    @property
    def final_decoding(self) -> dict[str, Any]:
        """`decoding` with the threshold of `confidence`: what decoders put on the model and exported files have."""
        found = {} if self._confidence is None else {"confidence_threshold": self._confidence.value}
        return {**self._decoding, **found}

    @property
    def names_classes(self) -> bool:
        """Whether the model was given names of its classes; else `class_names` are numbered ones."""
        return bool(self._class_names)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the input in pixels."""
        height, width = self.inputs[0].shape[1:3]
        return height, width

    @property
    def has_decoder(self) -> bool:
        """Whether the output is detections (B, K, 6) instead of raw predictions."""
        return any(isinstance(layer, DecodeDetections) for layer in self.layers)

    @property
    def saved_with(self) -> str:
        """Version of keras_ssd that made the model, or that wrote the file it came from."""
        return self._saved_with

    detect = detect_method.detect

    def track(self, source: Any, **options: Any) -> Generator[Detections, None, None]:
        """Finds objects in a video and follows them from frame to frame.

        Args:
            source: path of a video file or GIF, a folder of frames, "camera:0", or the URL of a stream.
            **options: as of `keras_ssd.video.track`, such as confidence, classes, stride, start, end and tracker.

        Yields:
            `Detections` of each frame, with `track_ids`, `frame` and `time`.

        Example:
            >>> for found in model.track("street.mp4"):
            ...     print(found.frame, found.time, found.track_ids, found.names)
        """
        from keras_ssd.video import track

        return track(self, source, **options)

    def evaluate(self, x: Any = None, *args: Any, **options: Any) -> Any:
        """As Keras's `evaluate`; an image that cannot be read raises this package's own error on every backend."""
        checks.check_training(self, "evaluate", (x, *args), options)
        with telling_failures(x), checks.telling_compilation(self):
            return super().evaluate(x, *args, **options)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, **options: Any) -> None:
        """As Keras's `save`, but replaces a .keras file only when the new one is complete, in case the disk is full.

        Args:
            filepath, overwrite, **options: see `keras.Model.save`.
        """
        path = str(filepath)
        in_place = not overwrite or options.get("zipped") is False or "://" in path or not path.endswith(".keras")
        if in_place:
            super().save(filepath, overwrite, **options)
            return
        with replacing(path) as temporary:
            super().save(temporary, **options)

    @functools.wraps(keras.Model.fit)
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        checks.check_training(self, "fit", (x, *args), kwargs)
        with telling_failures(x, kwargs.get("validation_data")), checks.telling_compilation(self):
            if hasattr(x, "endless") and not args and kwargs.get("steps_per_epoch") is None:
                return fit_without_end(super().fit, x, kwargs)
            return super().fit(x, *args, **kwargs)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        checks.check_training(self, "train_on_batch", args, kwargs)
        with checks.telling_compilation(self):
            return super().train_on_batch(*args, **kwargs)

    @functools.wraps(keras.Model.test_on_batch)
    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        checks.check_training(self, "test_on_batch", args, kwargs)
        with checks.telling_compilation(self):
            return super().test_on_batch(*args, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        checks.check_images("predict", "x", x)
        with telling_failures(x), checks.telling_compilation(self):
            return super().predict(x, *args, **kwargs)

    @functools.wraps(keras.Model.compile)
    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(keras.Model.compile).bind(self, optimizer, loss, *args, **kwargs).arguments
        checks.check_compile(loss, given.get("metrics"), given.get("weighted_metrics"))
        super().compile(optimizer, loss, *args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As Keras's, which does not compile a class with its own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    @functools.wraps(keras.Model.export)
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        if self.has_decoder:
            checks.refuse_decoders(self.name, filepath, format)
        with checks.telling_exports(self.name, filepath, format):
            if not was_called(self):  # the exporters to ONNX insist on it
                self(keras.ops.zeros((1, *self.input_shape[1:]), "float32"), training=False)
            super().export(filepath, format, verbose, input_signature, **kwargs)

    @functools.wraps(keras.Model.load_weights)
    def load_weights(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        if self.names_classes:
            checks.check_same_classes(filepath, self.class_names)
        with checks.telling_shapes(filepath, self.name):
            return super().load_weights(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._about()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "SSD":
        config = dict(config)
        class_names = config.pop("class_names", ())
        decoding = config.pop("decoding", None) or {}
        sources = config.pop("sources", ())
        version = config.pop("keras_ssd_version", None)
        confidence = config.pop("confidence", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if class_names:
            model.class_names = class_names
        model._decoding = dict(decoding)
        if confidence:
            model.confidence = Confidence.from_dict(confidence)
        model._sources = tuple(sources)
        model._saved_with = version or __version__
        model._tell_layer()
        return model

    def _about(self):
        """The facts of a detector besides its layers, as plain data."""
        return {
            "class_names": list(self._class_names),
            "decoding": self.decoding,
            "confidence": self._confidence and self._confidence.to_dict(),
            "sources": list(self._sources),
            "keras_ssd_version": self._saved_with,
        }

    def _told_by_layer(self):
        return next((layer.about for layer in self.layers if isinstance(layer, AnchorBoxes)), {})

    def _tell_layer(self, renamed=False):
        """Copies what is known into the layer of the anchors, because `clone_model` copies only layers."""
        for layer in self.layers:
            # A decoder's model shares the layer with the raw model, whose facts stay.
            if isinstance(layer, AnchorBoxes) and (renamed or not (layer.about and self.has_decoder)):
                layer.about = self._about()

    def _one_layer(self, kind):
        found = [layer for layer in self.layers if isinstance(layer, kind)]
        if len(found) != 1:
            raise ValueError(
                f"Model '{self.name}' has {len(found)} {kind.__name__} layers, and exactly one is needed here."
            )
        return found[0]


# HDF5 files of Keras name a model's class without its package.
keras.saving.get_custom_objects()["SSD"] = SSD
