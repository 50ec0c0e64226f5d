"""Batches for `fit`: what they are made of, and that threads, epochs and shards change nothing they should not."""

import threading

import keras
import numpy as np
import pytest
from training_toys import CLASSES, SIZE_HW, squares, toy

import keras_ssd
from keras_ssd.data import Annotation, Dataset, Sample
from keras_ssd.data.augment import Chain, named_chain, sample_rng
from keras_ssd.data.batches import batch_names, batches
from keras_ssd.encoder import TargetEncoder


@pytest.fixture(scope="module")
def model():
    return toy()


def one_epoch(source):
    return [(images.copy(), targets.copy()) for images, targets in source]


def equal(first, second):
    pairs = [*zip(first, second, strict=True)]
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def test_values_images_and_targets_without_augmentation(model):
    data = squares(5)
    source = batches(data, model, None, batch_size=2)
    got = one_epoch(source)
    assert [len(images) for images, _ in got] == [2, 2, 1]
    assert got[0][0].shape == (2, *SIZE_HW, 3)
    assert got[0][0].dtype == np.uint8
    encoder, resize = TargetEncoder.from_model(model), named_chain("resize", SIZE_HW)
    for place, annotation in enumerate(data):
        sample = resize(Sample.of(annotation), sample_rng(0, 0, place))
        images, targets = got[place // 2]
        np.testing.assert_array_equal(images[place % 2], sample.image)
        np.testing.assert_array_equal(targets[place % 2], encoder.encode(annotation.boxes_fraction, [place % 2]))


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 5}, {"images_in_memory": True}], ids=str)
def test_values_threads_and_memory_change_nothing(model, options):
    expected = batches(squares(9), model, "ssd", batch_size=2, seed=3, workers=2)
    source = batches(squares(9), model, "ssd", batch_size=2, seed=3, **options)
    for _ in range(3):
        assert equal(one_epoch(source), one_epoch(expected))
    source.close()
    assert equal(one_epoch(source), one_epoch(expected))  # its threads start again


def test_values_epochs_and_seeds_differ_and_an_epoch_can_be_chosen(model):
    source = batches(squares(6), model, "light", batch_size=2)
    first, second = one_epoch(source), one_epoch(source)
    assert not equal(first, second)
    source.epoch = 1
    assert equal(one_epoch(source), second)
    assert not equal(one_epoch(batches(squares(6), model, "light", batch_size=2, seed=1)), first)
    for epoch in (0, 1):  # every image once
        places = np.concatenate([source.places(epoch, number) for number in range(len(source))])
        assert sorted(places) == list(range(6))


def test_values_shards_are_disjoint_and_of_one_length(model):
    sources = [batches(squares(11), model, "light", batch_size=2, shard=(k, 2)) for k in range(2)]
    assert [len(source) for source in sources] == [2, 2]
    seen = [np.concatenate([s.places(4, n) for n in range(len(s))]) for s in sources]
    assert not set(seen[0]) & set(seen[1])
    whole = [batches(squares(11), model, None, batch_size=2, shard=(k, 2)) for k in range(2)]
    assert [[len(x) for x, _ in source] for source in whole] == [[2, 2, 1], [2, 2, 1]]


def test_values_a_short_last_batch(model):
    assert len(batches(squares(7), model, "light", batch_size=3)) == 2
    assert len(batches(squares(7), model, "light", batch_size=3, drop_last=False)) == 3
    assert len(batches(squares(7), model, None, batch_size=3)) == 3


@pytest.mark.numerical
def test_values_fit_sees_the_same_in_whatever_order_it_asks():
    weights = []
    for shuffle in (True, False):
        model = toy(dropout=0.0)
        model.compile(keras.optimizers.SGD(0.01), keras_ssd.SSDLoss())
        source = batches(squares(8), model, "light", batch_size=2)
        model.fit(source, epochs=2, shuffle=shuffle, verbose=0)
        assert source.epoch == 2
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.numerical
def test_values_one_iterator_serves_all_epochs_of_fit():
    """TensorFlow may wait for seconds where an iterator ends."""
    model, asked = toy(dropout=0.0), []
    model.compile(keras.optimizers.SGD(0.01), keras_ssd.SSDLoss())
    source = batches(squares(8), model, "light", batch_size=2)
    made = source.maker.batch

    def spy(epoch, places):
        asked.append((epoch, tuple(int(place) for place in places)))
        return made(epoch, places)

    source.maker.batch = spy
    for passes, first in ((3, 0), (1, 3)):  # the second `fit` goes on behind the first
        asked.clear()
        model.fit(source, epochs=passes, verbose=0)
        source.close()
        wanted = {
            (epoch, tuple(int(place) for place in source.places(epoch, number)))
            for epoch in range(first, first + passes)
            for number in range(4)
        }
        assert wanted <= set(asked)
        # Keras looks at the first batches to learn their shapes, and the threads work ahead.
        assert len(asked) <= len(wanted) + 2 * (source.threads + 4)
    assert source.epoch == 4


def test_values_batches_without_an_end_are_those_of_the_epochs(model):
    source = batches(squares(6), model, "light", batch_size=2)
    epochs = [one_epoch(source) for _ in range(3)]
    source.epoch = 1
    endless = source.endless()
    assert endless.num_batches is None
    assert equal([endless[number] for number in range(6)], epochs[1] + epochs[2])
    assert equal([endless[number] for number in range(3)], epochs[1])  # Keras may start over
    endless.end(2)
    assert source.epoch == 3


def test_rejects_a_broken_image_in_fit_without_an_end():
    """The error of the image, not one of the backend's."""

    class Broken(Chain):
        def __call__(self, *args):
            raise ValueError("this image is broken")

    model = toy()
    model.compile(keras.optimizers.SGD(0.01), keras_ssd.SSDLoss())
    source = batches(squares(4), model, Broken(named_chain("resize", model.input_size).blocks), batch_size=2)
    with pytest.raises(ValueError, match="^this image is broken$"):
        model.fit(source, epochs=1, verbose=0)
    assert source.epoch == 0


def test_values_names_of_a_batch(model):
    data = squares(6)
    source = batches(data, model, "light", batch_size=2)
    assert batch_names(source, 3, 1) == tuple(data[int(place)].name for place in source.places(3, 1))
    assert batch_names(batches(data, model, None, batch_size=4), 0, 1) == ("squares4", "squares5")


def test_values_mosaics_take_other_images(model):
    source = batches(squares(8), model, "mosaic", batch_size=8)
    for _, targets in [pair for _ in range(3) for pair in one_epoch(source)]:
        assert np.isfinite(targets).all()


def test_values_images_are_made_off_the_main_thread(model):
    made = set()

    class Spy(Chain):
        def __call__(self, *args):
            made.add(threading.current_thread())
            return super().__call__(*args)

    one_epoch(batches(squares(4), model, Spy(named_chain("resize", SIZE_HW).blocks), batch_size=2))
    assert made
    assert threading.main_thread() not in made


def test_rejects_what_makes_no_batches(model, tmp_path):
    data = squares(3)
    with pytest.raises(ValueError, match="3 images make no full batch of 4. Use a smaller batch_size"):
        batches(data, model, batch_size=4)
    with pytest.raises(ValueError, match="the classes cat, the model bright, dark"):
        batches(Dataset("cats", ("cat",), []), model)
    with pytest.raises(ValueError, match="batch_size=0"):
        batches(data, model, batch_size=0)
    with pytest.raises(ValueError, match=r"shard=\(2, 2\)"):
        batches(data, model, batch_size=1, shard=(2, 2))
    with pytest.raises(ValueError, match="'light'"):
        batches(data, model, "lite")
    with pytest.raises(ValueError, match=r"End the chain with Resize\(\(16, 24\)\)"):
        one_epoch(batches(data, model, Chain([]), batch_size=1))
    missing = Dataset("missing", CLASSES, [Annotation("gone", str(tmp_path / "gone.png"), [], [], (9, 9))])
    with pytest.raises(keras_ssd.data.DataError, match="gone.png"):
        one_epoch(batches(missing, model, batch_size=1))
