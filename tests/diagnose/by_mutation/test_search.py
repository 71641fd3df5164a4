"""Mistakes named by editing programs, and what the search does with an edit that fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.diagnose import Evidence, Mistake, diagnose
from jaxbackprop.diagnose.by_mutation import _search, ranked, search
from jaxbackprop.diagnose.by_mutation._evaluator import Edit, Meaning
from jaxbackprop.diagnose.by_mutation._search import ROUNDS, Mutation, Round
from tests.diagnose.by_mutation.rules import CASES, changed, evidence, normal, truth_of
from tests.parts import a_part

# One factor everywhere or in each row is left to the numbers.
BY_VALUES = ("constant factor", "unnormalised")


@pytest.mark.parametrize("name", a_part((name for name in CASES if name not in BY_VALUES), 2, str))
def test_the_mistake_is_among_the_first_three(name):
    found = ranked(search(CASES[name]()))
    label = name.split(",")[0]
    equal = {label, {"missing term": "path forgotten", "path forgotten": "missing term"}.get(label)}
    assert equal & {s.label for s in found[:3]}, [(s.label, s.message) for s in found[:5]]


@pytest.mark.parametrize("name", BY_VALUES)
def test_what_is_left_to_the_numbers_is_named_by_them(name):
    with float64_on_cpu():
        assert diagnose(CASES[name]())[0].label == name


@pytest.mark.parametrize("name", ["missing factor", "missing transpose", "wrong mask"])
def test_each_label_stands_once_and_the_cheapest_first(name):
    found = ranked(search(CASES[name]()))
    assert len({s.label for s in found}) == len(found) > 1
    assert [s.cost for s in found] == sorted(s.cost for s in found)
    assert {s.stage for s in found} <= {"rule", "autodiff"}


def test_the_sentence_names_the_argument_and_what_is_there():
    found = ranked(search(CASES["missing transpose"]()))
    first = next(s for s in found if s.label == "missing transpose")
    assert first.message.startswith("dx: ")
    assert "W" in first.message
    assert first.leaf == 0


def test_without_programs_nothing_is_said():
    given = CASES["missing factor"]()
    bare = Evidence(given.names, given.slots, given.wrong, given.samples, given.rule, given.truth)
    assert search(bare) == []


def test_a_program_that_cannot_be_traced_says_nothing():
    given = CASES["missing factor"]()

    def branching(leaves, dy):
        return dy if float(jnp.sum(leaves[0])) > 0 else leaves

    strange = Evidence(
        given.names, given.slots, given.wrong, given.samples, given.rule, given.truth, branching, branching
    )
    assert search(strange) == []


def test_a_program_that_does_something_else_is_not_believed():
    given = CASES["missing factor"]()

    def other(leaves, dy):
        return tuple(2 * g for g in given.truth_program(leaves, dy))

    strange = Evidence(given.names, given.slots, given.wrong, given.samples, given.rule, given.truth, other)
    assert search(strange) == []


def test_what_no_edit_explains_is_not_explained():
    odd = changed(jnp.tanh, lambda x, y, dy: ((jnp.sin(3 * x) + 0.3 * x**5 - jnp.cosh(y)) * dy,), normal(5))
    assert search(odd) == []


def edits_with_an_error(context):
    def operand(values, x):
        return x.no_such_attribute

    for i in context.floats:
        yield Edit(Meaning("an edit with a typo"), dict.fromkeys(context.uses(i), operand))


def test_an_error_in_an_edit_is_not_hidden(monkeypatch):
    broken = Mutation("broken", edits_with_an_error, 1.0, (Mistake.SIGN,))
    monkeypatch.setattr(_search, "ROUNDS", (Round(1.0, (broken,)),))
    with pytest.raises(AttributeError, match="no_such_attribute"):
        search(CASES["missing factor"]())


def edits_of_another_shape(context):
    for i in context.floats:
        yield Edit(Meaning("a longer value"), dict.fromkeys(context.uses(i), lambda values, x: np.zeros(99)))


def test_a_mutant_whose_shapes_do_not_fit_explains_nothing(monkeypatch):
    longer = Mutation("longer", edits_of_another_shape, 1.0, (Mistake.SIGN,))
    monkeypatch.setattr(_search, "ROUNDS", (Round(1.0, (longer,)),))
    assert search(CASES["missing factor"]()) == []


def chosen(x, rows):
    x = jnp.asarray(x)
    largest = jnp.max(x, 1, keepdims=True)
    hit = jnp.zeros(x.shape, bool).at[rows].set(True) & ((x == largest) == jnp.array(True))
    kept = jnp.where(largest - x == 0.0, jnp.sort(x, 1), x.at[rows].set(0.0))
    noise = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
    return jnp.where(hit & noise, x, kept) * x[jnp.arange(3), jnp.argmax(x, 1)][:, None]


def test_masks_indices_keys_and_maxima_are_edited_without_an_error():
    truth = truth_of(chosen, 0)
    rows = np.array([1, 1], np.int32)
    odd = evidence(truth, lambda leaves, dy: (truth(leaves, dy)[0] + leaves[0] ** 3,), normal(3, 4), rows)
    names = {mutation.name for group in ROUNDS for mutation in group.mutations}
    assert {s.found_by for s in search(odd, budget_s=8.0)} <= names
