"""Extras, pyramid and anchors that are derived where nobody gives them."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssd
from keras_ssd.anchors import named_spec
from keras_ssd.anchors.spreading import spread_spec
from keras_ssd.backbones import ConvRow, ConvStyle, SeparableRow
from keras_ssd.models.extras import derive_extras
from keras_ssd.models.fpn import pyramid


def rows(extras):
    return [[(r.filters, r.kernel_size, r.stride, r.pad) for r in extra.rows] for extra in extras]


def test_values_the_extras_of_the_resnet50_ssd():
    """After the 10x10 map: 1x1 256 and 3x3 256 of stride 2, then twice 1x1 128 and 3x3 256 without padding."""
    extras = derive_extras((10, 10))
    assert rows(extras) == [
        [(256, 1, 1, 0), (256, 3, 2, 1)],
        [(128, 1, 1, 0), (256, 3, 1, 0)],
        [(128, 1, 1, 0), (256, 3, 1, 0)],
    ]
    assert [extra.layer for extra in extras] == ["extra1_2", "extra2_2", "extra3_2"]
    assert all(isinstance(row, ConvRow) for extra in extras for row in extra.rows)
    assert all(isinstance(row, SeparableRow) for extra in derive_extras((10, 10), separable=True) for row in extra.rows)


@pytest.mark.numerical
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((19, 19), [(10, 10), (5, 5), (3, 3), (1, 1)]),
        ((8, 8), [(4, 4), (2, 2), (1, 1)]),
        ((16, 12), [(8, 6), (4, 3), (2, 1), (1, 1)]),
        ((9, 13), [(5, 7), (3, 4), (1, 2), (1, 1)]),
        ((6, 5), [(3, 3), (1, 1)]),
        ((2, 9), [(1, 5), (1, 3), (1, 2), (1, 1)]),
        ((1, 1), []),
    ],
)
def test_values_extras_end_at_one_cell(grid, expected, separable):
    x, grids = keras.Input((*grid, 6)), []
    for extra in derive_extras(grid, separable=separable, filters=8):
        x = extra(x, ConvStyle())
        assert x._keras_history.operation.name == extra.layer
        grids.append(tuple(x.shape[1:3]))
    assert grids == expected


def test_values_as_many_extras_as_are_asked_for():
    assert len(derive_extras((10, 10), 2)) == 2
    assert derive_extras((10, 10), 0) == ()
    with pytest.raises(ValueError, match="After 3 extra feature maps the grid is 1x1.*begins at 10x10.*4 extras"):
        derive_extras((10, 10), 4)


def test_values_a_separable_row_is_mobilenets():
    inputs = keras.Input((9, 9, 4))
    extra = derive_extras((9, 9), 1, separable=True, filters=16)[0]
    model = keras.Model(inputs, extra(inputs, ConvStyle(l2=0.1)))
    shapes = {layer.name: [w.shape for w in layer.weights] for layer in model.layers if layer.weights}
    assert shapes == {
        "extra1_1_conv": [(1, 1, 4, 16)],
        "extra1_1_bn": [(16,)] * 4,
        "extra1_2_dw": [(3, 3, 16, 1)],
        "extra1_2_dw_bn": [(16,)] * 4,
        "extra1_2_conv": [(1, 1, 16, 16)],
        "extra1_2_bn": [(16,)] * 4,
    }
    assert model.get_layer("extra1_2").max_value == 6
    assert len(model.losses) == 3  # the penalty counts in the depthwise convolution too
    depthwise = model.get_layer("extra1_2_dw")
    assert (depthwise.strides, depthwise.padding) == ((2, 2), "valid")  # Caffe's padding stands before it
    # He's rule for what a cell sums over, nine numbers: Keras's own fan_in of a depthwise kernel is 16 times too large.
    deviation = np.std([ops.convert_to_numpy(depthwise.depthwise_initializer((3, 3, 400, 1))) for _ in range(3)])
    assert deviation == pytest.approx(np.sqrt(2 / 9), rel=0.05)


GRIDS = ((38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1))
STRIDES = ((8, 8), (16, 16), (32, 32), (64, 64), (64, 64), (64, 64))


def test_values_spread_anchors_of_ssd300s_maps_are_ssd300s():
    assert spread_spec((300, 300), GRIDS, STRIDES) == named_spec("ssd300_voc")


def test_values_spread_anchors_of_other_maps():
    spec = spread_spec((320, 480), [(20, 30), (10, 15), (5, 8)], [(16, 16), (32, 32), (64, 64)])
    assert spec.boxes_per_cell == (4, 6, 6)
    sizes = [level.boxes_hw[0] for level in spec.levels]
    assert sizes == [(64.0, 64.0), (176.0, 176.0), (288.0, 288.0)]  # 20, 55 and 90 % of 320
    second = [level.boxes_hw[1][0] for level in spec.levels]
    assert second == pytest.approx([np.sqrt(64 * 176), np.sqrt(176 * 288), np.sqrt(288 * 400)])
    assert [level.step_hw for level in spec.levels] == [(16, 16), (32, 32), (64, 64)]
    assert spread_spec((320, 480), [(20, 30)], [(16, 16)]).levels[0].boxes_hw[0] == (64.0, 64.0)
    even = spread_spec((300, 300), GRIDS, STRIDES, even=True)
    assert even.boxes_per_cell == (6,) * 6


@pytest.mark.parametrize(
    ("size", "grid", "stride", "step"),
    [
        ((300, 300), (38, 38), (8, 8), (8, 8)),
        ((300, 300), (37, 37), (8, 8), (8, 8)),  # pooled without the last, half column
        ((300, 300), (3, 3), (64, 64), (100, 100)),  # not padded: five cells would cover the image
        ((299, 299), (35, 35), (8, 8), (299 / 35, 299 / 35)),
    ],
)
def test_values_steps_are_strides_where_they_cover_the_image(size, grid, stride, step):
    assert spread_spec(size, [grid], [stride]).levels[0].step_hw == pytest.approx(step)


@pytest.mark.numerical
@pytest.mark.parametrize("grids", [((16, 20), (8, 10), (4, 5)), ((19, 25), (10, 13), (5, 7)), ((37, 18), (18, 9))])
def test_reference_pyramid(grids):
    """Against sums by hand; grids that do not halve are interpolated."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((*grid, 3 + i)) for i, grid in enumerate(grids)]
    names = [f"map{i}" for i in range(len(grids))]
    outputs = pyramid(names, inputs, ConvStyle("he_normal"), filters=4)
    model = keras.Model(inputs, outputs)
    assert [tuple(x.shape[1:]) for x in outputs] == [(*grid, 4) for grid in grids]
    rng = np.random.default_rng(0)
    maps = [rng.normal(0, 1, (2, *grid, 3 + i)).astype(np.float32) for i, grid in enumerate(grids)]
    found = model(maps)
    above = None
    for name, x, y in reversed(list(zip(names, maps, found, strict=True))):
        lateral = model.get_layer(f"{name}_lateral")
        x = x @ ops.convert_to_numpy(lateral.kernel)[0, 0]
        if above is not None:
            twice = above.repeat(2, 1).repeat(2, 2)[:, : x.shape[1], : x.shape[2]]
            if twice.shape != x.shape:
                twice = bilinear(above, x.shape[1:3])
            x = x + twice
        above = x
        smooth = model.get_layer(f"{name}_fpn")
        np.testing.assert_allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(smooth(x)), rtol=1e-4, atol=1e-4)


def bilinear(x, grid):
    """With aligned corners."""
    for axis, length in ((1, grid[0]), (2, grid[1])):
        at = np.arange(length) * (x.shape[axis] - 1) / (length - 1)
        low = np.minimum(at.astype(int), x.shape[axis] - 2)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, low + 1, axis) * share
    return x


def test_values_pyramid_of_a_detector():
    inputs = keras.Input((96, 131, 3))
    x = inputs
    for name, filters in (("a", 4), ("b", 6), ("c", 8)):
        x = keras.layers.Conv2D(filters, 3, strides=4 if name == "a" else 2, padding="same", name=name)(x)
    body = keras.Model(inputs, x)
    net = keras_ssd.ssd(body, ["a", "b", "c"], ["cat"], fpn=16, extras=1)
    assert net.sources == ("a_fpn", "b_fpn", "c_fpn", "extra1_2")
    assert net.anchor_spec.grids == ((24, 33), (12, 17), (6, 9), (3, 5))
    assert [net.get_layer(name).output.shape[-1] for name in net.sources] == [16, 16, 16, 16]
    assert [row.stride_hw for row, _ in net.composition.rows] == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert keras_ssd.ssd(body, ["a", "b"], ["cat"], fpn=True, extras=0).get_layer("a_fpn").filters == 256
