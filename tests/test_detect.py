"""The way from sources to Detections: order, sizes, batches, errors, threads and memory.

The model here is made for the tests: its one convolution passes the image's colours on, and its decoder
reports a box at fixed fractions with the image's mean red as the score. So an image is known by its score.
"""

import gc
import threading
import time
import tracemalloc
import weakref

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_ssd import predictor as predictor_module
from keras_ssd.box_coder import NUM_BOX_COLUMNS
from keras_ssd.detecting import detect
from keras_ssd.images import ImageError
from keras_ssd.layers import DecodeDetections
from keras_ssd.predictor import Predictor
from keras_ssd.reading_ahead import map_ahead

pytestmark = pytest.mark.numerical

NAMES = ("light", "dark")
BOX = (-0.25, 0.25, 0.5, 1.5)  # reaches beyond the image on the left and below


class ReportBrightness(keras.layers.Layer):
    """(B, H, W, 3) 0..255 -> (B, 3, 6): class 0 with mean red, class 1 with the rest, one unused row."""

    def call(self, images):
        light = ops.mean(images[..., 0], axis=(1, 2)) / 255
        zero = ops.zeros_like(light)
        box = [zero + side for side in BOX]
        rows = [[zero, light, *box], [zero + 1, 1 - light, *box], [zero - 1, *[zero] * 5]]
        return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)

    def compute_output_spec(self, images):
        return keras.KerasTensor((images.shape[0], 3, 6), dtype="float32")


def brightness_model(size_hw=(16, 24)):
    inputs = keras.Input((*size_hw, 3))
    colours = keras.layers.Conv2D(3, 1, use_bias=False, name="colours")
    model = keras.Model(inputs, ReportBrightness()(colours(inputs)))
    colours.set_weights([np.eye(3).reshape(1, 1, 3, 3)])
    return model


@pytest.fixture(scope="module")
def model():
    return brightness_model()


@pytest.fixture
def run(model):
    def run_detect(sources, **options):
        return detect(model, sources, **{"class_names": NAMES, "confidence": 0, "classes": "light", **options})

    return run_detect


def flat(level, size_hw=(10, 20)):
    return np.full((*size_hw, 3), level, np.uint8)


def levels(found):
    return [round(float(one.scores[0]) * 255) for one in found]


@pytest.fixture
def folder(tmp_path):
    """Images of levels 0, 10, 20 ... of different shapes; every third is large, and so slow to read."""
    for i in range(13):
        size = (20, 10) if i % 3 else (1500, 1000)
        Image.new("RGB", size, (10 * i,) * 3).save(tmp_path / f"{i:02}.png")
    return tmp_path


# -- numbers ----------------------------------------------------------------------------------------


def test_values_boxes_are_pixels_of_the_original_and_clipped(run):
    (found,) = run(flat(51, (40, 100)))
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 10, 50, 40]])
    np.testing.assert_allclose(found.scores, [0.2], atol=1e-6)
    assert found.names == ("light",)
    assert found.size_hw == (40, 100)
    assert found.class_names == NAMES


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 1), (16, 24), (33, 77)])
def test_values_images_of_any_size(run, size_hw):
    (found,) = run(flat(102, size_hw))
    height, width = size_hw
    np.testing.assert_allclose(found.boxes_xyxy, [[0, height / 4, width / 2, height]])
    assert levels([found]) == [102]


def test_values_rows_below_the_confidence_and_unused_rows_are_left_out(model):
    dark = flat(51)  # light 0.2, dark 0.8
    names = [one.names for c in (0, 0.5, 0.9) for one in detect(model, dark, confidence=c, class_names=NAMES)]
    assert names == [("dark", "light"), ("dark",), ()]


def test_values_classes_by_name(model):
    (found,) = detect(model, flat(51), confidence=0, classes=["light"], class_names=NAMES)
    assert found.names == ("light",)
    (found,) = detect(model, flat(51), confidence=0, classes=[], class_names=NAMES)
    assert len(found) == 0


def test_values_grey_and_transparent_images(run):
    rgba = np.dstack([flat(0), np.zeros((10, 20), np.uint8)])
    assert levels(run([flat(60)[..., 0], rgba])) == [60, 255]


def test_roundtrip_box_to_raw_prediction_and_back():
    """A box in an image of another shape than the input comes back, through real decoding."""
    box, size_hw = (30.0, 80.0, 130.0, 100.0), (120, 400)
    fractions = np.array(box) / (400, 120, 400, 120)
    centre, size = (fractions[:2] + fractions[2:]) / 2, fractions[2:] - fractions[:2]
    anchors = np.array([[0.3, 0.6, 0.2, 0.1], [0.8, 0.2, 0.1, 0.1]])
    offsets = np.r_[(centre - anchors[0, :2]) / anchors[0, 2:] / 0.1, np.log(size / anchors[0, 2:]) / 0.2]
    rows = np.zeros((2, 3 + NUM_BOX_COLUMNS), "float32")  # two classes and background
    rows[:, 0] = 9
    rows[0, :3] = (0, 0, 9)
    rows[0, 3:7] = offsets
    rows[:, 7:11] = anchors
    rows[:, 11:] = (0.1, 0.1, 0.2, 0.2)
    inputs = keras.Input((8, 8, 3))
    raw = keras.layers.Lambda(
        lambda x: ops.zeros((ops.shape(x)[0], 1, 1)) + ops.convert_to_tensor(rows)[None],
        output_shape=(2, 3 + NUM_BOX_COLUMNS),
    )(inputs)
    model = keras.Model(inputs, raw)
    for one in (model, keras.Model(inputs, DecodeDetections()(raw))):
        (found,) = detect(one, np.zeros((*size_hw, 3), np.uint8), class_names=NAMES)
        assert found.names == ("dark",)
        np.testing.assert_allclose(found.boxes_xyxy, [box], atol=1e-3)


# -- order, batches, sources ------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 8, 13, 50])
@pytest.mark.parametrize("workers", [1, 5])
def test_values_order_is_kept(run, folder, batch_size, workers):
    found = list(run(folder, batch_size=batch_size, workers=workers))
    assert levels(found) == [10 * i for i in range(13)]
    assert [one.source for one in found] == [str(folder / f"{i:02}.png") for i in range(13)]
    assert found[0].size_hw == (1000, 1500)
    assert found[1].size_hw == (10, 20)


def test_values_sources_of_every_kind_in_one_list(run, folder):
    batch = np.stack([flat(7), flat(8)])
    image = Image.new("RGB", (5, 5), (9, 9, 9))
    found = list(run([str(folder / "1*.png"), folder / "03.png", batch, image]))
    assert levels(found) == [100, 110, 120, 30, 7, 8, 9]
    assert found[3].image is None
    assert found[-1].image is image
    assert found[-1].draw().size == (5, 5)


def test_values_no_source_at_all(run):
    assert list(run([])) == []


def computed_batches(monkeypatch):
    sizes = []
    real = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, "predict_on_batch", lambda self, x: sizes.append(len(x)) or real(self, x))
    return sizes


@pytest.mark.parametrize(
    ("count", "padded"), [(1, [1]), (2, [2]), (3, [4]), (5, [8]), (8, [8]), (9, [8, 8]), (20, [8, 8, 8])]
)
def test_values_batches_have_few_sizes(run, monkeypatch, count, padded):
    sizes = computed_batches(monkeypatch)
    assert levels(run([flat(i) for i in range(count)], batch_size=8)) == list(range(count))
    if keras.config.backend() == "torch":  # compiles nothing, so it computes what there is
        padded = [8] * (count // 8) + [count % 8] * (count % 8 > 0)
    assert sizes == padded


def test_values_an_image_is_yielded_before_the_last_is_read(run):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield flat(len(taken))

    found = run(endless(), batch_size=2)
    assert levels([next(found), next(found), next(found)]) == [1, 2, 3]
    assert len(taken) < 12  # what is read ahead is bounded
    found.close()


# -- what is compiled once --------------------------------------------------------------------------


def test_values_a_model_is_composed_once_for_the_same_options(monkeypatch):
    model = brightness_model()
    made = []
    real = Predictor._compose.__func__
    monkeypatch.setattr(Predictor, "_compose", classmethod(lambda cls, *args: made.append(1) or real(cls, *args)))
    for confidence in (0.5, 0.7, 0.9):
        list(detect(model, flat(1), confidence=confidence, class_names=NAMES))
    assert len(made) == 1


def test_values_compiled_kinds_of_a_model_are_few():
    model = raw_model()
    for k in range(1, 2 * predictor_module.COMPILED_KINDS):
        detect(model, [], keep_top_k=k, class_names=NAMES)
    assert len(predictor_module._predictors[model]) == predictor_module.COMPILED_KINDS


@pytest.mark.parametrize("confidence", [0.005, 0.01, 0.3, 0.5, 0.6])
def test_values_the_decoder_threshold_changes_nothing(confidence):
    """Whatever the decoder leaves out early, the report is that of the lowest threshold, sorted out later."""
    model = raw_model()
    images = np.random.default_rng(3).integers(0, 256, (6, 64, 64, 3), np.uint8)
    decoder = DecodeDetections(confidence_threshold=0.0)
    options = {"confidence": confidence, "class_names": NAMES}
    found = list(detect(model, images, **options))
    assert 6 <= sum(map(len, found)) < 6 * 2 * 64
    assert found == list(detect(model, images, decoder=decoder, **options))


def test_values_what_is_compiled_ends_with_the_model():
    model = brightness_model()
    list(detect(model, flat(1), class_names=NAMES))
    gc.collect()
    before, gone = len(predictor_module._predictors), weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(predictor_module._predictors) == before - 1


def test_values_new_weights_are_seen():
    model = brightness_model()
    assert levels(detect(model, flat(100), confidence=0, classes="light", class_names=NAMES)) == [100]
    model.get_layer("colours").set_weights([0.5 * np.eye(3).reshape(1, 1, 3, 3)])
    assert levels(detect(model, flat(100), confidence=0, classes="light", class_names=NAMES)) == [50]


# -- bad images and bad arguments -----------------------------------------------------------------


@pytest.fixture
def spoiled(folder):
    """The folder with two bad files, and the levels that are left."""
    (folder / "04.png").write_text("no image")
    (folder / "09.png").write_bytes((folder / "09.png").read_bytes()[:60])
    return folder, [10 * i for i in range(13) if i not in (4, 9)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_rejects_bad_file_after_those_before_it(run, spoiled, batch_size):
    folder, _ = spoiled
    running = run(folder, batch_size=batch_size)
    assert levels(next(running) for _ in range(4)) == [0, 10, 20, 30]
    with pytest.raises(ImageError, match=r"04\.png"):
        next(running)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_values_bad_files_are_told_and_the_rest_is_done(run, spoiled, batch_size, tmp_path_factory):
    folder, expected = spoiled
    errors = []
    empty = tmp_path_factory.mktemp("empty")
    found = run([folder, empty, "nowhere.jpg", flat(200)], batch_size=batch_size, on_error=errors.append)
    assert levels(found) == [*expected, 200]
    assert [error.source for error in errors] == [
        str(folder / "04.png"),
        str(folder / "09.png"),
        str(empty),
        "nowhere.jpg",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confidence": 1.5}, "confidence=1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"workers": 0}, "workers=0"),
        ({"on_error": "skip"}, "on_error='skip'"),
        ({"classes": ["ligt"]}, "Did you mean 'light'"),
        ({"class_names": None}, "class_names="),
        ({"iou_threshold": 0.3}, "ends in a decoder already"),
    ],
)
def test_rejects_arguments_before_any_work(run, options, said):
    with pytest.raises(ValueError, match=said):
        run("nowhere.jpg", **options)


class AppendAnchors(keras.layers.Layer):
    """Four equal anchors after each other and their variances, behind logits and offsets."""

    def call(self, predictions):
        centres = np.repeat((np.arange(16) + 0.5) / 16, 4)
        anchors = [[c, 0.5, 0.1, 0.4, 0.1, 0.1, 0.2, 0.2] for c in centres]
        anchors = ops.convert_to_tensor(np.array(anchors, "float32"))[None]
        return ops.concatenate([predictions, anchors + ops.zeros_like(predictions[..., :1])], axis=-1)


def raw_model(classes=2):
    """64 predictions of all scores for an image of 64 x 64, whose boxes overlap."""
    inputs = keras.Input((64, 64, 3))
    start = keras.initializers.RandomUniform(-0.002, 0.002, seed=5)
    predictions = keras.layers.Conv2D(classes + 5, 8, strides=8, kernel_initializer=start)(inputs)
    return keras.Model(inputs, AppendAnchors()(keras.layers.Reshape((64, classes + 5))(predictions)))


def test_rejects_decoder_arguments_that_contradict():
    decoder = DecodeDetections(iou_threshold=0.3)
    list(detect(raw_model(), flat(1), decoder=decoder, class_names=NAMES))
    with pytest.raises(ValueError, match="Give keep_top_k to the decoder"):
        detect(raw_model(), flat(1), decoder=decoder, keep_top_k=5, class_names=NAMES)
    with pytest.raises(TypeError, match="Received: dict"):
        detect(raw_model(), flat(1), decoder={}, class_names=NAMES)


def test_rejects_models_of_another_form():
    with pytest.raises(ValueError, match=r"2 classes.*Received: 3 names"):
        detect(raw_model(), flat(1), class_names=("a", "b", "c"))
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"output shapes \[\(None, 64, 3\)\]"):
        detect(keras.Model(image, keras.layers.Reshape((64, 3))(image)), flat(1), class_names=NAMES)
    any_size = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="fixed size"):
        detect(keras.Model(any_size, keras.layers.Conv2D(3, 1)(any_size)), flat(1), class_names=NAMES)


# -- threads and memory -----------------------------------------------------------------------------


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("keras_ssd-read")]


def test_values_leaving_early_ends_the_threads(run, folder):
    for _ in run(folder, batch_size=1):
        break
    gc.collect()
    assert reading_threads() == []
    found = run(folder, batch_size=2)
    next(found)
    assert reading_threads()
    found.close()
    assert reading_threads() == []


def test_values_an_error_ends_the_threads(run, spoiled):
    with pytest.raises(ImageError):
        list(run(spoiled[0], batch_size=1))
    gc.collect()
    assert reading_threads() == []


def test_values_reading_runs_beside_the_consumer():
    """Ten pieces of work of 20 ms, taken at 20 ms each, last about 200 ms and not 400."""
    start = time.perf_counter()
    for _, future in map_ahead(lambda item: time.sleep(0.02), range(10), workers=2, ahead=4):
        future.result()
        time.sleep(0.02)
    assert time.perf_counter() - start < 0.34


def test_values_memory_does_not_grow_with_the_number_of_images(tmp_path):
    model = brightness_model((64, 64))
    paths = [str(tmp_path / f"{i:03}.png") for i in range(400)]
    for path in paths:
        Image.new("RGB", (80, 60)).save(path)

    def peak(count):
        gc.collect()
        tracemalloc.start()
        for _ in detect(model, paths[:count], batch_size=4, class_names=NAMES):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(40)  # whatever is made once is made here
    few, many = peak(40), peak(400)
    assert many < few + 500_000  # 360 images more, or their 64 x 64 warps, would be 4 or 5 MB
