"""One mistake of one argument is one finding."""

import jax.numpy as jnp

from jaxbackprop.check import Finding, check_vjp
from jaxbackprop.check._merge import merged
from tests.check.rules import rule

NOT_LINEAR = Finding("linearity", "dx ignores it", argument=0, mistakes=("upstream ignored", "other"))
WRONG = Finding(
    "value", "dx is wrong", argument=0, mistakes=("sign",), index=(1,), got=1.0, want=2.0, point=(3.0,)
)


def test_a_rule_that_is_not_linear_is_one_finding_with_the_numbers_of_its_wrong_value():
    (found,) = merged([NOT_LINEAR, WRONG, Finding("scan", "dx is another", argument=0)])
    assert (found.property, found.message) == ("linearity", "dx ignores it")
    assert found.mistakes == ("upstream ignored", "other", "sign")
    assert (found.index, found.got, found.want, found.point) == ((1,), 1.0, 2.0, (3.0,))


def test_the_same_label_of_the_same_argument_is_one_mistake_and_other_ones_stay():
    under_vmap = Finding("vmap", "dx differs", argument=0, mistakes=("sign",))
    others = [
        Finding("vmap", "dx differs", argument=0, mistakes=("batch-global",)),
        Finding("vmap", "dw differs", argument=1, mistakes=("sign",)),
        Finding("vmap", "dp differs", argument=0, path="['w']", mistakes=("sign",)),
        Finding("jit", "it is another"),
        Finding("jit", "it is another"),
    ]
    assert merged([WRONG, under_vmap, *others]) == [WRONG, *others]


def test_a_scale_whose_cotangent_is_its_next_value_is_one_finding():
    scaled = rule(lambda x, s: x * s, lambda r, dy: (dy * r[1], jnp.max(jnp.abs(r[0])) / 448))
    (found,) = check_vjp(scaled, jnp.asarray([[0.5, -1, 2], [1, 0.3, 0.7]]), jnp.float32(2)).findings
    assert (found.property, found.argument, found.mistakes[0]) == ("linearity", 1, "upstream ignored")
    assert found.got != found.want
