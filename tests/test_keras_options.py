"""Every option that Keras offers to a model either works for a detector, or has one error that says what to do."""

import copy
import importlib.util
import io

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd

pytestmark = [
    pytest.mark.numerical,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]
BACKEND = keras.config.backend()
SIZE = (40, 56)
# Equal images and no augmentation: the loss of the first step is known from the loss itself.
IMAGES = np.tile(np.arange(SIZE[0] * SIZE[1] * 3, dtype=np.float32).reshape(1, *SIZE, 3) % 251, (4, 1, 1, 1))


@pytest.fixture(scope="module")
def targets():
    encoder = keras_ssd.TargetEncoder.from_model(tiny_ssd())
    return encoder.encode_batch([[[0.1, 0.1, 0.6, 0.7]]] * 4, [[1]] * 4)


@pytest.fixture
def model():
    keras.utils.set_random_seed(3)
    return tiny_ssd(decoding={"iou_threshold": 0.3})


@pytest.fixture(scope="module")
def dataset():
    images = IMAGES.astype(np.uint8)
    return keras_ssd.data.Dataset(
        "d",
        ("cat", "dog"),
        [
            keras_ssd.data.Annotation(f"{i}.png", image, np.array([[5.6, 4, 33.6, 28]]), np.array([1]), SIZE)
            for i, image in enumerate(images)
        ],
    )


def compiled(model, **options):
    # A rate of 0: the weights stay, so that every step has the loss that `expected` computes.
    model.compile(
        **{"optimizer": keras.optimizers.SGD(0.0), "loss": keras_ssd.SSDLoss(), "jit_compile": False, **options}
    )
    return model


def fitted(model, *data, **options):
    history = model.fit(*data, **{"batch_size": 2, "verbose": 0, **options}).history
    return {name: [float(value) for value in values] for name, values in history.items()}


def assert_same_weights(first, second):
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def expected(model, targets):
    return float(keras_ssd.SSDLoss()(targets[:2], model.predict_on_batch(IMAGES[:2])))


COMPILE = {
    "run_eagerly": ({"run_eagerly": True}, 1.0),
    "loss_weights": ({"loss_weights": 3.0}, 3.0),
    "list of loss_weights": ({"loss_weights": [3.0]}, 3.0),
    "auto_scale_loss": ({"auto_scale_loss": False}, 1.0),
    "list of losses": ({"loss": [keras_ssd.SSDLoss()]}, 1.0),
    "dictionary of losses": ({"loss": {"predictions": keras_ssd.SSDLoss()}}, 1.0),
    "own function": ({"loss": lambda y_true, y_pred: keras_ssd.SSDLoss(reduction="none")(y_true, y_pred) * 2}, 2.0),
    "metrics": ({"metrics": [keras_ssd.SSDLossMetric(keras_ssd.SSDLoss())]}, 1.0),
    "weighted_metrics": ({"weighted_metrics": [keras_ssd.SSDLossMetric(keras_ssd.SSDLoss())]}, 1.0),
    "own metric": ({"metrics": [keras.metrics.MeanMetricWrapper(lambda a, b: keras.ops.sum(a[..., 0]), "m")]}, 1.0),
    "scaled loss": ({"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0))}, 1.0),
    "accumulated gradients": ({"optimizer": keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)}, 1.0),
    "averaged weights": ({"optimizer": keras.optimizers.SGD(0.0, use_ema=True)}, 1.0),
}


@pytest.mark.parametrize("name", COMPILE)
def test_values_options_of_compile(model, targets, name):
    options, factor = COMPILE[name]
    history = fitted(compiled(model, **options), IMAGES, targets)
    np.testing.assert_allclose(history["loss"], [factor * expected(model, targets)], rtol=1e-4)
    if "metrics" in name:
        np.testing.assert_allclose(history["positives"], [1.0])


def test_values_several_steps_at_once(model, targets):
    if BACKEND == "torch":
        with pytest.raises(ValueError, match="`steps_per_execution` must be 1 with the PyTorch backend"):
            fitted(compiled(model, steps_per_execution=2), IMAGES, targets)
        return
    history = fitted(compiled(model, steps_per_execution=2), IMAGES, targets)
    np.testing.assert_allclose(history["loss"], [expected(model, targets)], rtol=1e-4)


@pytest.mark.slow
def test_values_compiled_by_the_backend(model, targets):
    compiled(model, jit_compile=True)
    if BACKEND == "torch":  # its compiler does not take convolutions of so many sizes
        with pytest.raises(
            ValueError, match=r"PyTorch cannot compile model 'ssd'. Train it with compile\(..., jit_compile=F"
        ):
            fitted(model, IMAGES, targets)
        return
    history = fitted(model, IMAGES, targets)
    np.testing.assert_allclose(history["loss"], [expected(model, targets)], rtol=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "sparse_categorical_crossentropy",
        keras.losses.Huber(),
        keras.losses.mean_squared_error,
        ["mse"],
        {"predictions": "mse"},
    ],
    ids=["name", "other name", "object", "function", "list", "dictionary"],
)
def test_rejects_losses_of_keras(model, loss):
    with pytest.raises(ValueError, match=r"Use compile\(loss=keras_ssd.SSDLoss\(\)\).*Received: loss="):
        model.compile("sgd", loss)


@pytest.mark.parametrize("name", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize(
    "metric",
    ["accuracy", keras.metrics.MeanSquaredError(), keras.losses.mean_squared_error],
    ids=["name", "object", "function"],
)
def test_rejects_metrics_of_keras(model, name, metric):
    with pytest.raises(ValueError, match=rf"`{name}` of Keras.*keras_ssd.SSDLossMetric.*callbacks.Evaluate"):
        model.compile("sgd", keras_ssd.SSDLoss(), **{name: [metric]})


def test_rejects_training_without_a_loss(model, targets):
    with pytest.raises(
        ValueError, match=r"Model 'ssd' is not compiled. Call compile\(optimizer, loss=keras_ssd.SSDLoss"
    ):
        model.fit(IMAGES, targets)
    with pytest.raises(ValueError, match="Model 'ssd' is not compiled"):
        model.evaluate(IMAGES, targets)
    model.compile("sgd")
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="Model 'ssd' was compiled without a loss. Call compile"):
            method(IMAGES, targets)


def test_values_a_model_with_a_loss_of_its_own_needs_none(targets):
    class Own(keras_ssd.SSD):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(y_pred) * 0.0 + 7.0

    plain = tiny_ssd()
    own = Own(plain.inputs[0], plain.outputs[0])
    own.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    assert fitted(own, IMAGES, targets)["loss"] == [7.0]


@pytest.mark.parametrize("mode", ["int8", "int4", "float8", "gptq", "awq"])
def test_rejects_quantizing(model, mode):
    with pytest.raises(ValueError, match="Keras quantizes Dense, EinsumDense and Embedding layers alone.*to_onnx"):
        model.quantize(mode)


FIT = {
    "weights of images": (lambda t: {"sample_weight": np.ones(4)}, {"loss": [1.0]}),
    "weights of one column": (lambda t: {"sample_weight": np.full((4, 1), 3.0)}, {"loss": [3.0]}),
    "images without weight": (lambda t: {"sample_weight": np.array([1.0, 0, 1, 0])}, {"loss": [0.5]}),
    "validation_split": (lambda t: {"validation_split": 0.5}, {"loss": [1.0], "val_loss": [1.0]}),
    "validation_data": (
        lambda t: {"validation_data": (IMAGES, t), "validation_batch_size": 2},
        {"loss": [1.0], "val_loss": [1.0]},
    ),
    "weighted validation": (
        lambda t: {"validation_data": (IMAGES, t, np.full(4, 2.0))},
        {"loss": [1.0], "val_loss": [2.0]},
    ),
    "validation_freq": (
        lambda t: {"validation_data": (IMAGES, t), "validation_freq": 2, "epochs": 3},
        {"loss": [1.0] * 3, "val_loss": [1.0]},
    ),
    "steps_per_epoch": (lambda t: {"steps_per_epoch": 1, "epochs": 2}, {"loss": [1.0] * 2}),
    "initial_epoch": (lambda t: {"initial_epoch": 2, "epochs": 4}, {"loss": [1.0] * 2}),
    "shuffle": (lambda t: {"shuffle": False}, {"loss": [1.0]}),
}


@pytest.mark.parametrize("name", FIT)
def test_values_options_of_fit(model, targets, name):
    options, wanted = FIT[name]
    history = fitted(compiled(model), IMAGES, targets, **options(targets))
    one = expected(model, targets)
    assert list(history) == list(wanted)
    for key, factors in wanted.items():
        np.testing.assert_allclose(history[key], one * np.array(factors), rtol=1e-4)


def test_values_callbacks_of_keras(model, targets, tmp_path):
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "loss", save_best_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.0),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True),
        keras.callbacks.LambdaCallback(),
    ]
    history = fitted(compiled(model), IMAGES, targets, epochs=5, callbacks=callbacks)
    assert len(history["loss"]) == 2  # nothing gets better at a rate of 0
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert keras_ssd.load(tmp_path / "best.keras").class_names == ("cat", "dog")
    other = tiny_ssd()
    other.load_weights(tmp_path / "2.weights.h5")
    assert_same_weights(other, model)


def test_values_generators_and_batches(model, targets, dataset):
    one = expected(compiled(model), targets)
    pairs = ((IMAGES[:2], targets[:2]) for _ in range(2))
    np.testing.assert_allclose(
        fitted(model, pairs, batch_size=None, steps_per_epoch=2, shuffle=False)["loss"], [one], rtol=1e-4
    )
    batches = keras_ssd.data.batches(dataset, model, None, batch_size=2)
    history = fitted(model, batches, batch_size=None, validation_data=batches)
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], [one, one], rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), one, rtol=1e-4)
    assert model.predict(batches, verbose=0).shape == (4, model.anchor_spec.num_anchors, 15)
    with pytest.raises(
        ValueError, match=r"divides arrays, not batches.*dataset.split.*Received: validation_split=0.25"
    ):
        model.fit(batches, validation_split=0.25)


def test_rejects_a_dataset_or_files_in_place_of_batches(model, targets, dataset):
    compiled(model)
    with pytest.raises(TypeError, match=r"`fit` takes arrays or batches.*keras_ssd.data.batches.*Received: x=Dataset"):
        model.fit(dataset)
    with pytest.raises(TypeError, match=r"keras_ssd.data.batches.*Received: validation_data=Dataset"):
        model.fit(IMAGES, targets, validation_data=dataset)
    with pytest.raises(TypeError, match="keras_ssd.data.batches"):
        model.train_on_batch(dataset)
    with pytest.raises(TypeError, match=r"keras_ssd.evaluation.evaluate\(model, dataset\)"):
        model.evaluate(dataset)
    with pytest.raises(TypeError, match=r"model.detect\("):
        model.predict(dataset)
    for given in ("a.jpg", ["a.jpg", "b.jpg"]):
        with pytest.raises(TypeError, match=r"model.detect\(\.\.\.\).*Received: x="):
            model.predict(given)


@pytest.mark.parametrize("shape", [(4, 3), (4, 502), (4, 1, 1)])
def test_rejects_weights_of_anchors(model, targets, shape):
    compiled(model)
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(
            ValueError, match=r"one weight per image, an array \(B,\).*Received: sample_weight of shape"
        ):
            method(IMAGES, targets, sample_weight=np.ones(shape))


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_values_mixed_precision(policy, model, targets):
    compiled(model, optimizer="sgd")
    assert type(model.optimizer).__name__ == ("LossScaleOptimizer" if policy == "mixed_float16" else "SGD")
    assert model.get_layer("fine").compute_dtype == policy.removeprefix("mixed_")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    [anchors] = [layer for layer in model.layers if isinstance(layer, keras_ssd.AnchorBoxes)]
    assert anchors.compute_dtype == "float32"
    np.testing.assert_array_equal(
        keras_ssd.Predictions.split(model.predict_on_batch(IMAGES[:1])).anchors_cxcywh[0],
        model.anchor_spec.anchors_cxcywh(),
    )
    assert np.isfinite(fitted(model, IMAGES, targets)["loss"]).all()


def test_values_low_rank_adaptation(model, targets, tmp_path):
    for layer in model.layers:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
    kernel = model.get_layer("fine")
    before = keras.ops.convert_to_numpy(kernel.kernel)
    compiled(model, optimizer=keras.optimizers.SGD(1e-4))
    fitted(model, IMAGES, targets, epochs=2)
    assert np.abs(keras.ops.convert_to_numpy(kernel.kernel) - before).max() > 0
    model.save(tmp_path / "lora.keras")
    again = keras_ssd.load(tmp_path / "lora.keras")
    np.testing.assert_allclose(
        again.predict_on_batch(IMAGES[:1]), model.predict_on_batch(IMAGES[:1]), rtol=1e-5, atol=1e-5
    )


def test_rejects_other_classes_with_low_rank_factors_and_the_advice_works(model, tmp_path):
    plain = tiny_ssd(decoding={"iou_threshold": 0.3})
    for layer in model.layers:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
    factors = model.get_layer("fine").lora_kernel_b
    factors.assign(np.full(factors.shape, 0.01, np.float32))
    with pytest.raises(ValueError, match="LoRA is enabled in .* Merge them first: model.save_weights"):
        keras_ssd.with_classes(model, model.class_names[:1])
    model.save_weights(tmp_path / "merged.weights.h5")
    plain.load_weights(tmp_path / "merged.weights.h5")
    np.testing.assert_allclose(
        plain.predict_on_batch(IMAGES[:1]), model.predict_on_batch(IMAGES[:1]), rtol=1e-5, atol=1e-5
    )
    assert keras_ssd.with_classes(plain, model.class_names[:1]).num_classes == 1


def test_rejects_training_through_a_decoder(model, targets):
    decoding = compiled(keras_ssd.with_decoder(model))
    with pytest.raises(ValueError, match="the model ends in a decoder.* Train the raw model"):
        decoding.fit(IMAGES, targets, verbose=0)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="Keras's rematerialization needs eager TensorFlow, for any model")
def test_values_rematerialization(targets):
    keras.utils.set_random_seed(3)
    with keras.RematScope(mode="full"):
        model = tiny_ssd()
    history = fitted(compiled(model), IMAGES, targets)
    np.testing.assert_allclose(history["loss"], [expected(model, targets)], rtol=1e-4)


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution places arrays on JAX")
def test_values_data_parallel(model, targets):
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()[:1]))
    try:
        keras.utils.set_random_seed(3)
        placed = tiny_ssd()
        history = fitted(compiled(placed), IMAGES, targets)
        np.testing.assert_allclose(history["loss"], [expected(placed, targets)], rtol=1e-4)
    finally:
        keras.distribution.set_distribution(before)


ENDINGS = {"tf_saved_model": "", "onnx": ".onnx", "openvino": ".xml", "litert": ".tflite", "torch": ".pt2"}
BY_JAX = {"tf_saved_model"} if importlib.util.find_spec("tensorflow") else set()
WORKS = {"tensorflow": {"tf_saved_model", "litert"}, "torch": {"torch", "onnx"}, "jax": BY_JAX}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ENDINGS)
def test_values_exports_of_keras_work_or_name_what_does(model, format, tmp_path, capsys):
    path = tmp_path / f"exported{ENDINGS[format]}"
    if format in WORKS[BACKEND]:
        model.export(path, format=format, verbose=False)
        assert path.exists()
        return
    with pytest.raises(
        ValueError, match=f"Keras cannot export model 'ssd' as format='{format}' on the backend"
    ) as told:
        model.export(path, format=format, verbose=False)
    assert "keras_ssd.to_onnx(model, 'model.onnx')" in str(told.value)
    assert len(str(told.value)) < 700
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.hdf5"])
@pytest.mark.parametrize("compiling", [False, True])
def test_roundtrip_saved_files(model, name, compiling, tmp_path):
    if compiling:
        compiled(model)
    model.save(tmp_path / name)
    for opener in (keras.saving.load_model, keras_ssd.load, keras_ssd.open_model):
        again = opener(tmp_path / name)
        assert isinstance(again, keras_ssd.SSD)
        assert (again.class_names, again.decoding) == (("cat", "dog"), {"iou_threshold": 0.3})
        assert again.anchor_spec == model.anchor_spec
        assert isinstance(again.loss, keras_ssd.SSDLoss) is compiling
        assert_same_weights(again, model)


def test_roundtrip_a_detector_with_decoder_in_hdf5(model, tmp_path):
    keras_ssd.with_decoder(model, keep_top_k=5).save(tmp_path / "a.h5")
    again = keras_ssd.load(tmp_path / "a.h5")
    assert (again.class_names, again.has_decoder, again.output_shape) == (("cat", "dog"), True, (None, 5, 6))


def test_rejects_what_is_no_saved_model(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"keras_ssd.open_model\(.*a.weights.h5'\), or give weights to a factory"):
        keras_ssd.load(tmp_path / "a.weights.h5")
    with pytest.raises(FileNotFoundError, match="is a folder, and a model is one file"):
        keras_ssd.load(tmp_path)


def test_rejects_other_things_than_a_path_and_a_name_without_ending(model, tmp_path):
    model.save(tmp_path / "good.keras")
    (tmp_path / "good.keras").rename(tmp_path / "good")
    with pytest.raises(ValueError, match=r"is a \.keras file under a name without .* Rename it to 'good\.keras'\."):
        keras_ssd.load(tmp_path / "good")
    with pytest.raises(TypeError, match=r"`path` must be the path of a \.keras or \.h5 file.* Received: BytesIO"):
        keras_ssd.load(io.BytesIO((tmp_path / "good").read_bytes()))


def test_rejects_arguments_of_export(model, tmp_path):
    for format, ending in (("openvino", ".xml"), ("litert", ".tflite"), ("torch", ".pt2")):
        message = rf"^`filepath` must end in \{ending} for format='{format}'\. Received: filepath="
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / "net", format=format)
    with pytest.raises(
        ValueError, match=r"^`format` must be one that Keras .*onnx.* backend\. Received: format='coreml'$"
    ):
        model.export(tmp_path / "net", format="coreml")
    assert list(tmp_path.iterdir()) == []


def test_rejects_images_without_targets_and_lists_of_weights(model, targets):
    compiled(model)
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=r"needs the targets of the images too.* Received: y=None"):
            method(IMAGES)
        with pytest.raises(TypeError, match=r"Use np\.array\(sample_weight\)\. Received: a list of 4"):
            method(IMAGES, targets, sample_weight=[1, 2, 1, 1])


def test_rejects_weights_of_another_number_of_classes(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    other = keras_ssd.with_classes(model, ["cat", "dog", "cow"])
    with pytest.raises(
        ValueError, match="holds the weights of another model than 'ssd'.*keras_ssd.with_classes"
    ) as told:
        other.load_weights(tmp_path / "a.weights.h5")
    assert len(str(told.value)) < 700


WRAPPED = {
    "model": lambda model: keras.Model(model.inputs, model.outputs),
    "single": lambda model: keras.Model(model.input, model.output),
    "config": lambda model: keras.Model.from_config(model.get_config()),
}
OUTER = {
    "sequential": lambda model: keras.Sequential([keras.Input((*SIZE, 3)), model]),
    "nested": lambda model: keras.Model(images := keras.Input((*SIZE, 3)), model(images)),
}


@pytest.mark.parametrize("way", [*WRAPPED, *OUTER])
def test_values_wrapped_detectors_detect_and_are_measured(model, dataset, way):
    model.confidence = keras_ssd.decoding.Confidence(0.2)
    other = {**WRAPPED, **OUTER}[way](model)
    if way == "config":
        other.set_weights(model.get_weights())
    [mine], [theirs] = model.detect(IMAGES[0].astype(np.uint8)), keras_ssd.detect(other, IMAGES[0].astype(np.uint8))
    assert theirs.class_names == ("cat", "dog")
    assert len(mine) == len(theirs) > 0
    np.testing.assert_allclose(theirs.boxes_xyxy, mine.boxes_xyxy, atol=1e-3)
    result = keras_ssd.evaluation.evaluate(other, dataset, progress=False)
    assert result.map == keras_ssd.evaluation.evaluate(model, dataset, progress=False).map


@pytest.mark.parametrize("way", WRAPPED)
def test_values_detectors_are_made_again_of_wrapped_ones(model, dataset, way, tmp_path):
    other = WRAPPED[way](model)
    other.save(tmp_path / "a.keras")
    made = {
        "with_decoder": keras_ssd.with_decoder(other),
        "with_classes": keras_ssd.with_classes(other, ["cat", "dog"]),
        "with_anchors": keras_ssd.with_anchors(other, model.anchor_spec),
        "load": keras_ssd.load(tmp_path / "a.keras"),
        "open_model": keras_ssd.open_model(tmp_path / "a.keras"),
    }
    for name, again in made.items():
        assert (again.class_names, again.decoding) == (("cat", "dog"), {"iou_threshold": 0.3}), name
        assert again.anchor_spec == model.anchor_spec, name
    assert keras_ssd.anchors.report(other, dataset).recall == keras_ssd.anchors.report(model, dataset).recall
    with pytest.raises(TypeError, match=r"keras_ssd.SSD\(m.inputs\[0\], m.outputs\[0\]\) makes a detector again"):
        keras_ssd.TargetEncoder.from_model(other)
    batch = keras_ssd.data.batches(dataset, other, None, batch_size=2)[0]
    assert batch[1].shape == (2, model.anchor_spec.num_anchors, 5)


@pytest.mark.parametrize("way", OUTER)
def test_rejects_models_with_a_detector_inside(model, dataset, way, tmp_path):
    other = OUTER[way](model)
    for call in (
        lambda: keras_ssd.with_decoder(other),
        lambda: keras_ssd.with_classes(other, ["cat"]),
        lambda: keras_ssd.with_anchors(other, model.anchor_spec),
        lambda: keras_ssd.data.batches(dataset, other),
        lambda: keras_ssd.train(other, dataset, out=tmp_path / "t", epochs=1),
    ):
        with pytest.raises(TypeError, match=r"with the detector 'ssd' inside. Give that one: model.get_layer\('ssd'\)"):
            call()


def test_rejects_an_unbuilt_sequential(model):
    with pytest.raises(ValueError, match=r"does not know its input size.*keras.Input\(.*model.get_layer"):
        keras_ssd.detect(keras.Sequential([model]), IMAGES[0].astype(np.uint8))


def test_roundtrip_deepcopy_of_a_compiled_model(model, targets):
    again = copy.deepcopy(compiled(model))
    assert isinstance(again.loss, keras_ssd.SSDLoss)
    np.testing.assert_allclose(fitted(again, IMAGES, targets)["loss"], [expected(model, targets)], rtol=1e-4)
