"""How tensors stand in other programs, and where windows stand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from keras_ssd.layout import CHANNELS_FIRST, CHANNELS_LAST, Layout, Padding, agree, plain_order, usual_order
from keras_ssd.padding import keras_padding, sum_of_sides


@dataclass(frozen=True, eq=False)
class Map(Layout):
    shape: tuple = (1, 5, 7, 3)


def test_values_a_map_with_its_channels_in_front():
    x = Map(order=CHANNELS_FIRST)
    assert (x.rank, x.stored_shape) == (4, (1, 3, 5, 7))
    assert [x.axis(axis) for axis in (0, 1, 2, 3, -1)] == [0, 2, 3, 1, 1]
    assert x.axes_to((0, 1, 2, 3)) == [0, 2, 3, 1]
    assert np.zeros(x.stored_shape).transpose(x.axes_to((0, 1, 2, 3))).shape == x.shape
    assert (usual_order(4), usual_order(3), plain_order(2)) == (CHANNELS_FIRST, (0, 1, 2), (0, 1))
    assert np.zeros((1, 3, 5, 7)).transpose(CHANNELS_LAST).shape == (1, 5, 7, 3)


def test_values_a_permute_renames_axes():
    stored = np.arange(105).reshape(1, 3, 5, 7)
    x = Map(order=CHANNELS_FIRST)
    dims = (0, 3, 1, 2)  # keras.layers.Permute((3, 1, 2))
    renamed = replace(x, shape=(1, 3, 5, 7), order=x.renamed(dims))
    wanted = stored.transpose(0, 2, 3, 1).transpose(dims)
    np.testing.assert_array_equal(stored.transpose(renamed.axes_to(plain_order(4))), wanted)


@pytest.mark.parametrize(
    ("shape", "order", "same"),
    [
        ((1, 5, 7, 3), CHANNELS_FIRST, False),
        ((1, 1, 1, 3), CHANNELS_FIRST, True),
        ((1, 5, 7, 1), CHANNELS_FIRST, True),
        ((1, 5, 7, 3), (0, 1, 2, 3), True),
        ((None, 1, 7, 3), (0, 2, 1, 3), True),
    ],
)
def test_values_order_of_the_values(shape, order, same):
    assert Map(shape=shape, order=order).in_value_order is same


def test_values_channels_of_arrays():
    x, y = Map(order=CHANNELS_FIRST, channels_reversed=True), Map(order=CHANNELS_FIRST)
    assert x.turned(np.asarray([1, 2, 3])).tolist() == [3, 2, 1]
    assert x.turned(np.asarray([[1, 2, 3], [4, 5, 6]]), 0).tolist() == [[4, 5, 6], [1, 2, 3]]
    assert (x.turned(np.asarray(4)).tolist(), x.turned(np.asarray([4])).tolist()) == (4, [4])
    assert y.turned(np.asarray([1, 2, 3])).tolist() == [1, 2, 3]
    assert agree([x, x])
    assert not agree([x, y])
    assert not agree([y, Map(order=(0, 1, 2, 3))])


def test_values_padding_adds_up():
    x = Map(order=CHANNELS_FIRST).padded(((1, 2), (0, 3))).padded([(0, 1), (4, 0)])
    assert x.padding == Padding(((1, 3), (4, 3)))
    assert Map(order=CHANNELS_FIRST).padded(((0, 0), (0, 0)), lowest=True).padding is None
    assert sum_of_sides(((1, 2), (3, 4)), ((10, 0), (0, 10))) == ((11, 2), (3, 14))


@pytest.mark.parametrize(
    ("arguments", "sides"),
    [
        ({"padding": "valid", "sides": ((1, 2), (3, 4))}, ((1, 2), (3, 4))),
        ({}, ((0, 1), (1, 1))),  # of 6 rows and 7 columns, windows of 3 every 2
        ({"sides": ((1, 0), (0, 0))}, ((2, 1), (1, 1))),
        ({"dilation_rate": (2, 1)}, ((1, 2), (1, 1))),
    ],
)
def test_values_padding_of_keras(arguments, sides):
    assert keras_padding((6, 7), (3, 3), (2, 2), **arguments) == sides
