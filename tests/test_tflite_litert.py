"""SSD MobileNet V1 against LiteRT, TensorFlow Lite's own interpreter, which computes quantised files in eight bits."""

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd import formats, zoo
from keras_ssd.box_coder import Predictions
from keras_ssd.formats.tflite import read_tflite
from keras_ssd.images import read_image, resize_bilinear

litert = pytest.importorskip("ai_edge_litert.interpreter")

FILE = ("weights", "coco_ssd_mobilenet_v1", "detect.tflite")
COLUMNS = [0, *zoo.label_ids("coco")]
YX_TO_XY = [1, 0, 3, 2]
KEEP_ALL = "ignore:.*experimental_preserve_all_tensors.*:UserWarning"


def interpreter(path, keep_all=True):
    """Ready to run; kernels without a delegate, which would keep its tensors to itself."""
    options = {}
    if keep_all:
        options["experimental_preserve_all_tensors"] = True
        options["experimental_op_resolver_type"] = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runner = litert.Interpreter(model_content=path.read_bytes(), num_threads=2, **options)
    runner.allocate_tensors()
    return runner


def run(runner, image):
    runner.set_tensor(runner.get_input_details()[0]["index"], image[None])
    runner.invoke()


def real(runner, detail):
    """A tensor in real numbers."""
    values, scheme = runner.get_tensor(detail["index"]), detail["quantization_parameters"]
    if not len(scheme["scales"]):
        return values.astype(np.float64)
    return (values.astype(np.float64) - int(scheme["zero_points"][0])) * np.float64(scheme["scales"][0])


@pytest.mark.filterwarnings(KEEP_ALL)
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_reference_made_files(tmp_path, kind):
    """Files of floats, made by these tests: LiteRT takes them for its own, and computes what the port computes."""
    pytest.importorskip("flatbuffers")
    import tflite_nets

    path = tflite_nets.ssd_mobilenet(kind).write(tmp_path / "made.tflite")
    model = keras_ssd.ssd_mobilenet_v1(weights=path, weights_classes=["a", "b", "c"])
    image = np.random.default_rng(0).uniform(-1, 1, (300, 300, 3)).astype(np.float32)
    runner = interpreter(path)
    run(runner, image)
    values = {detail["name"]: runner.get_tensor(detail["index"]) for detail in runner.get_tensor_details()}
    found = Predictions.split(keras.ops.convert_to_numpy(model((image[None] + 1) * 127.5)))
    np.testing.assert_allclose(found.logits, values["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.offsets, values["boxes"][..., YX_TO_XY], rtol=0, atol=1e-4)


@pytest.mark.filterwarnings(KEEP_ALL)
def test_reference_weights_are_those_of_the_file(shared):
    path = shared(*FILE)
    runner, graph, arrays = interpreter(path), read_tflite(path), formats.read(path)
    details = {detail["index"]: detail for detail in runner.get_tensor_details()}
    compared = 0
    for operator in graph.operators:
        if not operator.kind.endswith("CONV_2D"):
            continue
        layer = formats.tflite.ssd_mobilenet.layer_name(graph.tensors[operator.inputs[1]].name)
        kernel, bias = (real(runner, details[i]).astype(np.float32) for i in operator.inputs[1:3])
        kernel = kernel.transpose(1, 2, 3, 0)
        if layer.endswith("_loc"):
            order = np.arange(len(bias)).reshape(-1, 4)[:, YX_TO_XY].ravel()
            kernel, bias = kernel[..., order], bias[order]
        np.testing.assert_array_equal(arrays[layer]["kernel"], kernel)
        np.testing.assert_array_equal(arrays[layer]["bias"], bias)
        compared += kernel.size + bias.size
    assert compared == arrays.parameters


@pytest.mark.filterwarnings(KEEP_ALL)
@pytest.mark.slow
def test_reference_feature_maps(shared):
    """Float maps are at least 20 dB above their difference from LiteRT's, all errors before them included."""
    path, folder = shared(*FILE), shared("data", "coco_sample", "images")
    model, runner, graph = keras_ssd.ssd_mobilenet_v1(weights=path), interpreter(path), read_tflite(path)
    layers = formats.tflite.ssd_mobilenet
    outputs = {layers.layer_name(graph.tensors[op.inputs[1]].name): op.outputs[0] for op in graph.operators[:35]}
    details = {detail["index"]: detail for detail in runner.get_tensor_details()}
    assert set(outputs) == {*layers.BODY, *layers.EXTRAS}
    maps = keras.Model(model.inputs[0], [model.get_layer(layer).output for layer in outputs])
    sums = np.zeros((len(outputs), 2))
    for file in sorted(folder.glob("*.jpg"))[:4]:
        image = resize_bilinear(read_image(file), (300, 300))
        run(runner, image)
        ours = maps.predict_on_batch(image[None].astype(np.float32))
        for place, (index, found) in enumerate(zip(outputs.values(), ours, strict=True)):
            expected = real(runner, details[index])
            sums[place] += (expected**2).sum(), ((expected - found) ** 2).sum()
    decibels = 10 * np.log10(sums[:, 0] / sums[:, 1])
    assert decibels.min() >= 20, dict(zip(outputs, decibels, strict=True))


@pytest.mark.slow
def test_reference_average_precision(shared):
    """COCO's AP on the sample at 10 detections per image: at least LiteRT's, less half a point in a hundred."""
    pytest.importorskip("faster_coco_eval")
    from keras_ssd.data import read
    from keras_ssd.evaluation import Collector, evaluate

    path, dataset = shared(*FILE), read(shared("data", "coco_sample"), policy="drop")
    model, runner = keras_ssd.ssd_mobilenet_v1(weights=path), interpreter(path, keep_all=False)
    place = {number - 1: i for i, number in enumerate(zoo.label_ids("coco"))}
    theirs, ours = Collector(model.class_names), Collector(model.class_names)
    found = model.detect([annotation.image for annotation in dataset], confidence=0.01, keep_top_k=10)
    for annotation, detections in zip(dataset, found, strict=True):
        ours.add(annotation.name, detections)
        height, width = detections.size_hw
        run(runner, resize_bilinear(read_image(annotation.image), (300, 300)))
        boxes, ids, scores, count = (runner.get_tensor(d["index"])[0] for d in runner.get_output_details())
        kept = [i for i in range(int(count)) if int(ids[i]) in place]
        boxes = boxes[kept][:, YX_TO_XY].clip(0, 1) * np.float32([width, height, width, height])
        classes = np.array([place[int(ids[i])] for i in kept], int)
        result = keras_ssd.Detections(boxes, scores[kept].clip(0, 1), classes, model.class_names, (height, width))
        theirs.add(annotation.name, result)
    ours, theirs = (evaluate(collector.table(), dataset, "coco").numbers["AP"] for collector in (ours, theirs))
    print(f"COCO AP, 10 detections per image: {ours:.4f}; LiteRT {theirs:.4f}")
    assert theirs > 0.15
    assert ours >= theirs - 0.005
