"""`--dtype bfloat16`: what computes in it, and what stays in float32."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop import ner
from jaxbackprop._jaxpr import all_equations
from jaxbackprop.data import read_conll
from jaxbackprop.ner import load_tagger, make_updates, trainable
from jaxbackprop.ner._prepared import Prepared
from jaxbackprop.train import RunError, init_state, make_schedule, make_step
from tests.ner.test_train import parameters, quiet, refuse, settings, write_corpus

FLOAT32, BFLOAT16 = jnp.dtype("float32"), jnp.dtype("bfloat16")
BATCH = 16
# No other array of the step has the shape of the word table.
STEP = {
    "dtype": "bfloat16",
    "batch_norm": True,
    "activation": "prelu",
    "l2": 1e-3,
    "hidden": 9,
    "batch_size": BATCH,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return ner.train(settings(folder, dtype="bfloat16"), folder / "bfloat16", quiet())


def training_step(folder, **changes):
    """The step of training, its state, and the program that it is."""
    config = settings(folder, **STEP | changes)
    seen = []
    Prepared(config, quiet()).training.first(lambda *given: seen.extend(given))
    model, loss, batch, _ = seen
    graphdef, params, variables, constants = nnx.split(model, trainable(config), nnx.BatchStat, ...)
    optimizer, rows = make_updates(config, make_schedule(config, 10), 10, model.words.padding_id)
    step = make_step(graphdef, loss, optimizer, jax.random.key(0), average=0.9, rows=rows)
    state = init_state(params, optimizer, variables=variables, average=True, rows=rows)
    program = jax.make_jaxpr(lambda *arguments: step(*arguments))(state, constants, batch, None)
    equations = list(all_equations(program.jaxpr))
    return model.words.embedding.shape, equations, jax.eval_shape(step, state, constants, batch, None)


def floats(atoms):
    dtypes = [atom.aval.dtype for atom in atoms]
    return {dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)}


@pytest.fixture(scope="module")
def step(folder):
    return training_step(folder)


def test_the_products_are_bfloat16_and_add_up_in_float32(step):
    _, equations, _ = step
    products = [equation for equation in equations if equation.primitive.name == "dot_general"]
    # Two layers: forward, and back to the inputs and to the weights of each.
    assert len(products) == 6
    assert {dtype for product in products for dtype in floats(product.invars)} == {BFLOAT16}
    assert {product.params["preferred_element_type"] for product in products} == {FLOAT32}


def test_whatever_adds_up_does_so_in_float32(step):
    _, equations, _ = step
    names = ("reduce_sum", "scatter-add", "add_any", "cumsum", "reduce", "exp", "log", "log1p")
    summed = {
        equation.primitive.name: floats(equation.invars) | floats(equation.outvars)
        for equation in equations
        if equation.primitive.name in names and floats(equation.outvars)
    }
    assert {"reduce_sum", "scatter-add", "exp", "log"} <= summed.keys()
    assert {dtype for found in summed.values() for dtype in found} == {FLOAT32}
    # The losses of a batch's examples and their mean's parts are not rounded on the way.
    losses = [atom for equation in equations for atom in equation.outvars if atom.aval.shape == (BATCH,)]
    assert floats(losses) == {FLOAT32}


@pytest.mark.parametrize("tuned", [True, False], ids=["tuned", "frozen"])
def test_the_word_table_is_never_cast_as_a_whole(folder, step, tuned):
    shape, equations, _ = step if tuned else training_step(folder, tune_vectors=False)
    like = [
        atom.aval.dtype
        for equation in equations
        for atom in (*equation.invars, *equation.outvars)
        if atom.aval.shape == shape
    ]
    assert set(like) == {FLOAT32}
    assert all(
        equation.invars[0].aval.shape != shape
        for equation in equations
        if equation.primitive.name == "convert_element_type"
    )


def test_the_state_of_training_is_float32(step):
    _, _, state = step
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert dtypes == {FLOAT32}


def test_a_run_learns_and_all_that_reads_it_computes_as_it_did(folder, run):
    assert json.loads((run / "config.json").read_text())["settings"]["dtype"] == "bfloat16"
    tagger = load_tagger(run, refuse)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters(tagger))} == {FLOAT32}
    ids = np.zeros((2, 3), np.int32)
    batch = {name: ids for name in ("words", "shapes", "prefixes", "suffixes")}
    assert tagger.model(batch).dtype == BFLOAT16
    scores = tagger.evaluate(read_conll(folder / "test.conll")).to_dict()
    assert scores == json.loads((run / "results.json").read_text())["test"]
    assert scores["micro avg"]["f1"] > 0.9


def test_a_run_goes_on_in_the_dtype_that_it_began_in(run):
    with pytest.raises(RunError, match="--dtype is 'float32', but it began with 'bfloat16'"):
        ner.resume(run, {"dtype": "float32"}, quiet())
