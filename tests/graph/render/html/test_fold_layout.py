"""The levels of the picture: small, without overlaps or cycles, and joined across scopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import trace
from tests.graph.render.html.pages import Read, layered, long, slide

MOST_BOXES = 300


def boxes(level):
    return [
        (kind, ref, x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for kind, ref, x, y, w, h, *_ in level["boxes"]
    ]


@pytest.mark.parametrize(
    "graph",
    [
        trace(slide, 1.0, 2.0, 0.0),
        trace(layered, jnp.ones(4)),
        trace(lambda x: long(x, 200), jnp.ones(2)),
        trace(lambda xs: sum(xs), [1.0] * 100),
    ],
    ids=["slide", "scopes", "long", "many arguments"],
)
def test_every_level_is_small_and_nothing_in_it_covers_another(graph):
    levels = Read(graph.to_html(run=graph.forward())).data["levels"]
    seen = [ref for level in levels for kind, ref, *_ in level["boxes"] if kind == "node"]
    assert sorted(seen) == list(range(len(graph.nodes)))
    scopes_seen = [ref for level in levels for kind, ref, *_ in level["boxes"] if kind == "scope"]
    assert sorted(scopes_seen) == list(range(1, len(levels)))
    for level in levels:
        found = boxes(level)
        assert len(found) <= MOST_BOXES
        for i, (_, _, *a) in enumerate(found):
            assert a[0] >= -0.11
            assert a[2] <= level["size"][0] + 0.11
            assert not any(
                a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for _, _, *b in found[i + 1 :]
            )
        for source, target, corners, *_ in level["lines"]:
            assert corners[0] == pytest.approx(found[source][4], abs=0.3)
            assert corners[-2] == pytest.approx(found[target][2], abs=0.3)


def test_lines_of_a_level_form_no_cycle():
    graph = trace(lambda x: layered(x, 3), jnp.ones(4))
    for level in Read(graph.to_html()).data["levels"]:
        after = {place: set() for place in range(len(level["boxes"]))}
        for source, target, *_ in level["lines"]:
            after[target].add(source)
        while after:
            free = [place for place, needed in after.items() if not needed & after.keys()]
            assert free
            for place in free:
                del after[place]


def test_a_value_is_followed_across_the_borders_of_scopes():
    graph = trace(layered, jnp.ones(4))
    data = Read(graph.to_html()).data
    ends = {}
    for level in data["levels"]:
        kinds = [kind for kind, *_ in level["boxes"]]
        for source, target, _, _, strands, _ in level["lines"]:
            for node, output, taker, _ in strands:
                ends.setdefault((node, output, taker), []).append((kinds[source], kinds[target]))
    assert set(ends) == {(e.source, e.output, e.target) for e in graph.edges} | {
        (port.node, port.output, -1 - k) for k, port in enumerate(graph.outputs)
    }
    assert any(len(met) > 2 for met in ends.values())
    for met in ends.values():
        # One line runs between two boxes of a level; the others lead to the borders of scopes, each its own.
        assert sum("enters" != source and target != "leaves" for source, target in met) == 1


def test_three_hundred_nodes_take_less_than_a_megabyte():
    draw = np.random.default_rng(0).normal
    x = jnp.asarray(draw(size=(32, 64)), jnp.float32)
    W = jnp.asarray(draw(size=(64, 64)) / 8, jnp.float32)

    def deep(W, x):
        for i in range(50):
            with jax.named_scope(f"layer {i}"):
                x = jnp.tanh(x @ W) * 0.5 + x
        return jnp.mean(x)

    graph = trace(deep, W, x)
    assert 295 <= len(graph.nodes) <= 310
    assert len(graph.to_html().encode()) < 1_000_000
