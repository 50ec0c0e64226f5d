"""Every option that Keras offers to a model either works for a detector, or has one error that says what to do."""

import keras
import numpy as np
import pytest
from known_loss import (
    IMAGES,
    assert_same_weights,
    compiled,
    equal_images,
    expected,
    fitted,
    one_object_each,
    tiny_detector,
)
from tiny_models import tiny_ssd

import keras_ssd

pytestmark = [
    pytest.mark.numerical,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]
BACKEND = keras.config.backend()


@pytest.fixture(scope="module")
def targets():
    return one_object_each()


@pytest.fixture
def model():
    return tiny_detector()


@pytest.fixture(scope="module")
def dataset():
    return equal_images()


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
    with pytest.raises(
        ValueError, match="Keras quantizes Dense, EinsumDense and Embedding layers alone.*keras_ssd.export"
    ):
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
