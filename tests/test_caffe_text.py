"""Prototxts: what is read, in today's terms, and what is refused with which line."""

import numpy as np
import pytest

from keras_ssd.caffe.files import (
    CaffeFileError,
    CaffeLayer,
    CaffeNet,
    format_prototxt,
    parse_prototxt,
    read_prototxt,
    write_prototxt,
)
from keras_ssd.caffe.files.schema import fields_by_name, messages

EVERY_FORM = """
name: 'two' "words\\n\\x41\\102"   # a comment, ## and another
layer { name: "data" type: "Input" top: "data" input_param: < shape: { dim: [1, 3] dim: 0x12C dim: 010 } > }
## a heading
layer {
  name: "conv", type: "Convolution"; bottom: "data" top: "conv"
  param { lr_mult: 1 } param { lr_mult: 2.f decay_mult: 0 }
  convolution_param {
    num_output: 64 bias_term: false kernel_size: [3, 5] pad: 1 pad: 2 engine: CAFFE
    weight_filler { type: "gaussian" std: 1e-5 sparse: -1 variance_norm: AVERAGE }
  }
  include: { phase: TRAIN }
}
layer { name: "mine" type: "Mine" bottom: "conv" top: "mine"
  mine_param { x: 1 x: 2.5 x: -inf mode: FAST text: "FAST" flag: true inner { a: 1 } inner { a: 2 } } }
"""


def test_values_every_form_of_the_text():
    net = parse_prototxt(EVERY_FORM)
    assert net.name == "twowords\nAB"
    data, conv, mine = net.layers
    assert data.params["input_param"] == {"shape": [{"dim": [1, 3, 300, 8]}]}
    assert (conv.name, conv.type, conv.bottoms, conv.tops) == ("conv", "Convolution", ("data",), ("conv",))
    assert conv.params["param"] == [{"lr_mult": 1.0}, {"lr_mult": 2.0, "decay_mult": 0.0}]
    assert conv.params["include"] == [{"phase": "TRAIN"}]
    settings = conv.settings("convolution_param")
    assert (settings["num_output"], settings["bias_term"], settings["engine"]) == (64, False, "CAFFE")
    assert (settings["kernel_size"], settings["pad"]) == ((3, 5), (1, 2))
    assert settings["weight_filler"]["std"] == 1e-5
    assert (settings["weight_filler"]["sparse"], settings["weight_filler"]["variance_norm"]) == (-1, "AVERAGE")
    own = mine.settings("mine_param")
    assert own["x"] == (1, 2.5, -np.inf)
    assert (own["mode"], own["text"], own["flag"], own["absent"]) == ("FAST", "FAST", True, None)
    assert [inner["a"] for inner in own["inner"]] == [1, 2]


def test_values_settings_have_the_defaults_of_caffe():
    layer = CaffeLayer("c", "Convolution", params={"convolution_param": {"num_output": 2}})
    conv = layer.settings("convolution_param")
    assert (conv["group"], conv["stride"], conv["kernel_h"], conv["bias_term"]) == (1, (), None, True)
    assert conv["weight_filler"]["type"] == "constant"
    assert conv.has("num_output")
    assert not conv.has("group")
    assert (conv.get("group"), conv.get("group", 7), conv.get("num_output", 7)) == (None, 7, 2)
    assert list(conv) == ["num_output"]
    prior, output = layer.settings("prior_box_param"), layer.settings("detection_output_param")
    assert (prior["flip"], prior["clip"], prior["offset"], prior["step"]) == (True, False, 0.5, None)
    assert (output["code_type"], output["keep_top_k"], output["background_label_id"]) == ("CORNER", -1, 0)
    assert (output["nms_param"]["nms_threshold"], output["nms_param"]["top_k"]) == (0.3, None)
    assert layer.settings("norm_param")["eps"] == 1e-10
    assert layer.settings("batch_norm_param")["eps"] == 1e-5
    assert layer.settings("flatten_param")["end_axis"] == -1
    with pytest.raises(KeyError, match="ConvolutionParameter has no field 'strid'"):
        conv["strid"]


def test_values_numbers_of_fields():
    """A sample of caffe.proto; what is wrong here is wrong in binary files alone, where nobody would see it."""
    expected = {
        "LayerParameter": {
            "blobs": 7,
            "convolution_param": 106,
            "scale_param": 142,
            "norm_param": 206,
            "permute_param": 202,
        },
        "V1LayerParameter": {"name": 4, "type": 5, "blobs": 6, "convolution_param": 10, "relu_param": 30},
        "ConvolutionParameter": {"stride": 6, "group": 5, "pad_h": 9, "kernel_w": 12, "dilation": 18},
        "PriorBoxParameter": {"min_size": 1, "variance": 6, "img_w": 9, "step": 10, "offset": 13},
        "DetectionOutputParameter": {"code_type": 6, "keep_top_k": 7, "variance_encoded_in_target": 8},
        "TransformationParameter": {"mean_value": 5, "resize_param": 8, "expand_param": 14},
        "BlobProto": {"data": 5, "shape": 7, "double_data": 8, "raw_data_type": 10, "raw_data": 12},
        "PoolingParameter": {"kernel_size": 2, "stride": 3, "pad": 4, "global_pooling": 12},
    }
    for message, numbers in expected.items():
        assert {name: fields_by_name(message)[name].number for name in numbers} == numbers


def test_values_the_table_of_messages_is_sound():
    """Every message that a field names is there, none holds itself, and no number stands twice."""

    def depth(name, above=()):
        assert name not in above, name
        inside = {field.message for field in messages()[name].values() if field.message}
        return 1 + max((depth(other, (*above, name)) for other in inside), default=0)

    assert depth("NetParameter") < 10
    for name, fields in messages().items():
        numbers = [field.number for field in fields.values() if field.number is not None]
        assert len(set(numbers)) == len(numbers), name
        assert all(field.default in (None, *field.enum) for field in fields.values() if field.type == "enum"), name


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ('input: "a" input_dim: 1 input_dim: 3 input_dim: 30 input_dim: 40', {"a": [1, 3, 30, 40]}),
        ('input: "a" input_shape { dim: 1 dim: 3 }', {"a": [1, 3]}),
        ('input: "a" input: "b" input_shape { dim: 1 } input_shape { dim: 2 }', {"a": [1], "b": [2]}),
        ('input: "a" input: "b" ' + "input_dim: 1 " * 4 + "input_dim: 2 " * 4, {"a": [1] * 4, "b": [2] * 4}),
        ('input: "a"', {"a": None}),
    ],
)
def test_values_old_inputs_become_layers(text, shapes):
    net = parse_prototxt(f'{text} layer {{ name: "r" type: "ReLU" bottom: "a" top: "r" }}')
    inputs = [layer for layer in net.layers if layer.type == "Input"]
    assert [(layer.name, layer.tops, layer.bottoms) for layer in inputs] == [(name, (name,), ()) for name in shapes]
    for layer, dims in zip(inputs, shapes.values(), strict=True):
        [shape] = layer.settings("input_param")["shape"] or [None]
        assert (None if shape is None else list(shape["dim"])) == dims
    assert net.layers[-1].type == "ReLU"


def test_values_v1_records_are_upgraded():
    net = parse_prototxt("""
        layers { name: "d" type: DATA top: "d" data_param { source: "x" scale: 0.5 mirror: true backend: LMDB } }
        layers { name: "c" type: CONVOLUTION bottom: "d" top: "c" blobs_lr: 1 blobs_lr: 2 weight_decay: 1 param: "w"
          convolution_param { num_output: 8 kernel_size: 3 } }
        layers { name: "l" type: SOFTMAX_LOSS bottom: "c" loss_weight: 2 exclude { phase: TEST } }
        layers { name: "t" type: "TanH" bottom: "c" top: "t" }
    """)
    data, conv, loss, tanh = net.layers
    assert [layer.type for layer in net.layers] == ["Data", "Convolution", "SoftmaxWithLoss", "TanH"]
    assert data.params["transform_param"] == {"scale": 0.5, "mirror": True}
    assert data.params["data_param"] == {"source": "x", "backend": "LMDB"}
    assert conv.params["param"] == [{"name": "w", "lr_mult": 1.0, "decay_mult": 1.0}, {"lr_mult": 2.0}]
    assert conv.settings("convolution_param")["num_output"] == 8
    assert loss.params == {"loss_weight": [2.0], "exclude": [{"phase": "TEST"}]}
    assert tanh.tops == ("t",)


def test_values_blobs_written_as_text():
    [layer] = parse_prototxt("""layer { name: "a" type: "Scale" blobs { shape { dim: 1 dim: 2 } data: 1 data: [-2.5] }
        blobs { double_data: 3 } }""").layers
    np.testing.assert_array_equal(layer.blobs[0], np.float32([[1, -2.5]]))
    np.testing.assert_array_equal(layer.blobs[1], np.float32([3]))
    assert {blob.dtype for blob in layer.blobs} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("rules", "train", "test", "staged"),
    [
        ("", True, True, True),
        ("include { phase: TRAIN }", True, False, False),
        ("exclude { phase: TRAIN }", False, True, True),
        ("include { phase: TRAIN } include { phase: TEST }", True, True, True),
        ("include { phase: TEST min_level: 1 }", False, False, True),
        ("include { max_level: 0 }", True, True, False),
        ('include { stage: "deploy" }', False, False, True),
        ('include { stage: "deploy" stage: "other" }', False, False, False),
        ('include { not_stage: "deploy" }', True, True, False),
        ('exclude { phase: TEST stage: "deploy" }', True, True, False),
    ],
)
def test_values_phases(rules, train, test, staged):
    net = parse_prototxt(f'layer {{ name: "a" type: "ReLU" {rules} }} layer {{ name: "b" type: "ReLU" }}')
    assert len(net.layers) == 2
    assert (net.for_phase("TRAIN").layers[0].name == "a") is train
    assert (net.for_phase("TEST").layers[0].name == "a") is test
    deploy = net.for_phase("TEST", level=1, stages=["deploy"])
    assert (deploy.layers[0].name == "a") is staged
    assert deploy.layers[-1].name == "b"


def test_values_national_comments(tmp_path):
    text = '# 网络\nlayer { name: "a" type: "ReLU" }\n'
    for number, data in enumerate([text.encode("utf-8-sig"), text.encode("gbk"), text.replace("\n", "\r\n").encode()]):
        path = tmp_path / f"{number}.prototxt"
        path.write_bytes(data)
        assert read_prototxt(path).layers[0].name == "a"


def test_roundtrip_text():
    net = parse_prototxt(EVERY_FORM)
    again = parse_prototxt(format_prototxt(net))
    assert again.name == net.name
    for one, other in zip(net.layers, again.layers, strict=True):
        assert repr(one) == repr(other)
        assert one.params == other.params
    assert "kernel_size: 3\n" in format_prototxt(net)
    assert "mode: FAST\n" in format_prototxt(net)
    assert 'text: "FAST"\n' in format_prototxt(net)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-10, 3.4e38, np.float32(0.1), 45678.0, -0.0, np.inf, -np.inf])
def test_roundtrip_floats(tmp_path, value):
    layer = CaffeLayer("p", "Power", params={"power_param": {"shift": float(value)}})
    write_prototxt(CaffeNet("", (layer,)), tmp_path / "a.prototxt")
    [again] = read_prototxt(tmp_path / "a.prototxt").layers
    assert np.float32(again.settings("power_param")["shift"]) == np.float32(value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.prototxt"]


def test_roundtrip_published_prototxts(shared):
    for folder in ("weights", "oracle"):
        for path in sorted(shared(folder).rglob("*.prototxt")):
            net = read_prototxt(path)
            again = parse_prototxt(format_prototxt(net))
            assert [repr(layer) for layer in net.layers] == [repr(layer) for layer in again.layers]
            assert format_prototxt(again) == format_prototxt(net)
            assert sum(layer.type == "Input" for layer in net.layers) >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\nlayer { name: 3 }", "line 3: expected a text in quotes for 'name'. Received: '3'"),
        (
            'layer {\n type: "A"\n relu_param { negative_slope: foo } }',
            "line 3: expected a number for 'negative_slope'",
        ),
        ("layer { pooling_param { pool: MIN } }", "one of MAX, AVE, STOCHASTIC for 'pool'. Received: 'MIN'"),
        ("layer { convolution_param { num_output: -1 } }", "an integer of at least 0 for 'num_output'"),
        ("layer { convolution_param { num_output: 1.5 } }", "an integer of at least 0 for 'num_output'"),
        ("layer { convolution_param { num_output: 99999999999 } }", "an integer of at least 0"),
        ("layer { crop_param { axis: " + "9" * 5000 + " } }", "an integer of 32 bits"),
        ("layer { convolution_param { bias_term: 2 } }", "true or false for 'bias_term'"),
        ("layer { convolution_param: 1 }", "expected '{' after 'convolution_param'"),
        ("layer { name { a: 1 } }", "a value for 'name'"),
        ('layer { type: "A" type: "B" }', "'type' at most once"),
        ('layer { type: "A"', "a field name or '}'. Received: the end"),
        ('layer { type: "A" >', "a field name or '}'. Received: '>'"),
        ("layer } {", "':' or '{' after 'layer'. Received: '}'"),
        ('layer { name: "abc', "Received: '\"abc'"),
        ("layer { convolution_param { pad: [1 2] } }", "',' or ']'"),
        ("layer { a" + "{ a" * 40, "nested at most 32 deep"),
        ("layer { \x01 }", "a field name, a value or a brace"),
        ('layer { name: "a" }', "layer 'a' has no type"),
        (
            'layer { type: "A" blobs { shape { dim: 2 } data: 1 } }',
            "line 1: a blob of shape (2) needs 2 values. Received: 1",
        ),
        ('layer { type: "A" } layers { type: RELU }', "both `layer` and `layers`"),
        ("layers { layer { name: 'a' type: 'conv' } }", "Caffe of 2013"),
        ('net: "train.prototxt" base_lr: 0.1', "a solver's prototxt"),
        ('item { name: "cat" label: 1 }', "a label map"),
        ("", "holds no layers"),
        (
            'input: "a" input_dim: 1 layer { type: "A" }',
            "four `input_dim`. Received: 1 input, 0 input_shape, 1 input_dim",
        ),
        ('input: "a" input_shape { dim: 1 } input_shape { dim: 1 } layer { type: "A" }', "2 input_shape"),
    ],
)
def test_rejects_text(text, message):
    with pytest.raises(CaffeFileError) as caught:
        parse_prototxt(text, "a.prototxt")
    assert message in str(caught.value)
    assert "a.prototxt" in str(caught.value)


def test_rejects_other_use():
    net = parse_prototxt('layer { name: "a" type: "A" include { phase: TEST } exclude { phase: TRAIN } }')
    with pytest.raises(ValueError, match="Received: phase='DEPLOY'"):
        net.for_phase("DEPLOY")
    with pytest.raises(CaffeFileError, match="layer 'a' has both include and exclude"):
        net.for_phase("TEST")
    with pytest.raises(ValueError, match="must be a message in braces. Received: my_param=1"):
        CaffeLayer("a", "A", params={"my_param": 1}).settings("my_param")
    with pytest.raises(ValueError, match="shift must be a number.*Received: None"):
        format_prototxt(CaffeNet("", [CaffeLayer("a", "Power", params={"power_param": {"shift": None}})]))
