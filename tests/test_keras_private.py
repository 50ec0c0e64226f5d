"""One module reads what is private to Keras, and says so when Keras changes it."""

import ast
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd import keras_private

PACKAGE = Path(keras_ssd.__file__).parent
HOME = PACKAGE / "keras_private.py"


@pytest.fixture(scope="module")
def model():
    return tiny_ssd()


@pytest.fixture(scope="module")
def optimizer(model):
    made = keras.optimizers.SGD(use_ema=True)
    made.build(model.trainable_variables)
    return made


def privates_of_keras():
    """Private names of the classes of Keras that this package builds on."""
    model = tiny_ssd()
    optimizer = keras.optimizers.SGD(use_ema=True)
    optimizer.build(model.trainable_variables)
    objects = (model, keras.Sequential([keras.Input((3,))]), model.layers[1], model.output, optimizer, model.weights[0])
    objects += (keras.losses.MeanSquaredError(), keras.metrics.Mean(), keras.callbacks.Callback())
    return {name for one in objects for name in dir(one) if name.startswith("_") and not name.startswith("__")}


def own_names(tree):
    """What a file defines or assigns: private names of its own."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def reaches(source, private):
    """Lines of a file that reach into Keras."""
    tree = ast.parse(source)
    own, lines = own_names(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            reached = node.attr in private and node.attr not in own
        elif isinstance(node, ast.Constant):
            reached = node.value in keras_private.READ and str(node.value).startswith("_")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            reached = "keras.src" in ast.unparse(node)
        else:
            continue
        lines += [node.lineno] if reached else []
    return lines


def test_values_no_other_module_reaches_into_keras():
    private = privates_of_keras()
    assert {name for name in keras_private.READ if name.startswith("_")} <= private
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != HOME and (lines := reaches(path.read_text(encoding="utf-8"), private))
    }
    assert found == {}


def test_values_the_search_sees_every_way():
    code = (
        "from keras.src import backend\nimport keras.src.layers\nx._keras_history\ngetattr(x, '_inbound_nodes')\n"
        "self._mine = 1\nself._mine\nx._functional\n"
    )
    assert sorted(reaches(code, privates_of_keras() | {"_mine"})) == [1, 2, 3, 4, 7]


def test_values_the_list_is_what_the_module_reads():
    tree = ast.parse(HOME.read_text(encoding="utf-8"))
    read = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_read"
    }
    assert read == set(keras_private.READ)


@pytest.mark.numerical
def test_values_what_each_one_reads(model, optimizer):
    assert keras_private.is_functional(model)
    assert not keras_private.is_functional(keras.Sequential([keras.Input((3,))]))
    nodes = keras_private.nodes_of(model)
    names = [node.operation.name for node in nodes if not node.is_input]
    assert (names[0], names[-1]) == ("fine", "predictions")
    assert nodes[0].is_input
    assert keras_private.functional_of(model) is model
    inside = keras_private.functional_of(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    assert inside.output_shape == (None, 2)
    assert len(keras_private.nodes_of_layer(model.get_layer("fine"))) == 1
    assert keras_private.maker_of(model.output).name == "predictions"
    trained = keras_private.trained_variables(optimizer)
    assert [id(one) for one in trained] == [id(one) for one in model.trainable_variables]
    assert [tuple(one.shape) for one in keras_private.averages(optimizer)] == [tuple(one.shape) for one in trained]
    assert keras_private.variable_index(optimizer, trained[3]) == 3
    fresh = tiny_ssd()
    assert not keras_private.was_called(fresh)
    fresh(np.zeros((1, 40, 56, 3), np.float32))
    assert keras_private.was_called(fresh)
    if keras.config.backend() == "torch":
        assert keras_private.torch_device().split(":")[0] in ("cpu", "cuda", "mps")


READERS = {
    "_nodes_by_depth": keras_private.nodes_of,
    "_inbound_nodes": keras_private.nodes_of_layer,
    "_keras_history": keras_private.maker_of,
    "_trainable_variables": keras_private.trained_variables,
    "_model_variables_moving_average": keras_private.averages,
    "_get_variable_index": lambda one: keras_private.variable_index(one, None),
    "_called": keras_private.was_called,
}


@pytest.mark.parametrize("name", READERS)
def test_rejects_a_keras_without_the_attribute_by_its_name(name):
    with pytest.raises(
        keras_private.KerasChangedError, match=rf"Keras {keras.__version__} has no `SimpleNamespace.{name}`"
    ):
        READERS[name](types.SimpleNamespace())
