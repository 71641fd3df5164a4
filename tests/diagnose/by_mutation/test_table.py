"""The table of mutations holds what is true of their edits."""

import itertools

import pytest

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.diagnose import Mistake
from jaxbackprop.diagnose.by_mutation import search
from jaxbackprop.diagnose.by_mutation._numpy_rules import quiet
from jaxbackprop.diagnose.by_mutation._search import ROUNDS, contexts
from tests.diagnose.by_mutation.rules import CASES


def test_what_found_a_suspicion_is_a_mutation_of_the_table():
    names = {mutation.name for group in ROUNDS for mutation in group.mutations}
    assert {s.found_by for s in search(CASES["missing factor"]())} <= names


@pytest.mark.parametrize(
    "name",
    ["unnormalised", "wrong mask", "set instead of add", "time shift", "diagonal only", "stale residual"],
)
def test_either_an_edit_names_the_mistake_or_the_table_does(name):
    with float64_on_cpu(), quiet():
        for context in contexts(CASES[name]()).values():
            for mutation in (m for group in ROUNDS for m in group.mutations):
                assert len(set(mutation.labels)) == len(mutation.labels)
                said = set()
                for edit in itertools.islice(mutation.edits(context), 200):
                    meaning = edit.meaning if edit.solve is None else edit.solve.meaning(3.0)
                    said.add(meaning.labels)
                assert all(isinstance(label, Mistake) for labels in said for label in labels)
                assert said <= {()} if mutation.labels else () not in said, mutation.name
