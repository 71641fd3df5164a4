"""The doctor's figures against plain NumPy, and how the report says what it found."""

import io
import json
import xml.etree.ElementTree as ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop.doctor import THRESHOLDS, health
from jaxbackprop.graph import trace
from tests.doctor.models import batch, mlp, orthogonal


@pytest.fixture(scope="module")
def ill():
    """A classifier whose first layer is far too large."""
    params, loss = mlp((20, 16, 16, 5), jnp.tanh)
    params[0]["W"] = 300 * params[0]["W"]
    return health(loss, params, *batch()), params


@pytest.fixture(scope="module")
def sequence():
    def loss(W, x):
        def step(h, x):
            h = jnp.tanh(W @ h + x)
            return h, h

        return jnp.sum(jax.lax.scan(step, jnp.zeros(8), x)[1][-1] ** 2)

    W, x = orthogonal(8, 0.3), jax.random.normal(jax.random.key(0), (30, 8))
    return health(loss, W, x), W, x


def test_norms_and_shares_are_those_of_the_layers(ill):
    report, params = ill
    x, labels = batch()
    y = x
    shares = []
    for layer in params[:-1]:
        y = np.tanh(y @ layer["W"] + layer["b"])
        shares.append((y, np.mean(1 - y**2 < 0.01)))

    def tail(h):
        logits = h @ params[-1]["W"] + params[-1]["b"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1))

    found = [h for h in report.nodes if h.kind == "tanh"]
    for h, (value, share) in zip(found, shares, strict=True):
        assert h.activation_norm == pytest.approx(np.linalg.norm(value), rel=1e-4)
        assert h.saturated == pytest.approx(share, abs=1e-3)
    slope = jax.grad(tail)(jnp.asarray(shares[-1][0]))
    assert found[-1].gradient_norm == pytest.approx(float(jnp.linalg.norm(slope)), rel=1e-3)
    assert found[0].root_mean_square == pytest.approx(float(np.sqrt(np.mean(shares[0][0] ** 2))), rel=1e-4)
    assert [h.depth for h in report.nodes if h.role == "layer"] == [1, 2, 3]


def test_norms_survive_where_squares_do_not():
    def loss(p):
        return jnp.sum(jnp.tanh(p["x"]) * jnp.float32(1e-30))

    report = health(loss, {"x": jnp.full(4, 1e-25)})
    (parameter,) = (h for h in report.nodes if h.role == "parameter")
    assert parameter.activation_norm == pytest.approx(2e-25)
    assert parameter.gradient_norm == pytest.approx(2e-30)


def test_growth_a_step_is_that_of_the_gradient(sequence):
    report, W, x = sequence
    states = [np.zeros(8)]
    for row in x:
        states.append(np.tanh(np.asarray(W) @ states[-1] + row))
    g, growth = 2 * states[-1], []
    for h in reversed(states[1:]):
        before = np.asarray(W).T @ ((1 - h**2) * g)
        growth.append(np.linalg.norm(before) / np.linalg.norm(g))
        g = before
    (found,) = report.sequences
    np.testing.assert_allclose(found.growth, growth[::-1], rtol=1e-3)
    assert found.rate == pytest.approx(np.exp(np.mean(np.log(growth))), rel=1e-3)
    assert report.findings[0].kind == "vanishing"
    (tanh,) = (h for h in report.nodes if h.kind == "tanh")
    want = [np.linalg.norm(h) for h in states[1:]]
    np.testing.assert_allclose(tanh.activation_norm_by_step, want, rtol=1e-4)


def test_a_report_says_what_where_how_much_and_what_to_do(ill):
    report, _ = ill
    assert not report.healthy
    found = report.findings[0]
    said = str(report)
    assert f"saturated: {found.name} (tests/doctor/models.py:" in said
    assert "units are saturated" in said
    assert "try: smaller initial weights" in said
    assert found.lines()[0] in said
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    assert "units are saturated" in console.export_text()
    healthy = health(lambda p: jnp.sum(p["x"] ** 2), {"x": jnp.ones(3)})
    assert str(healthy).startswith("<lambda>: healthy")


def test_nodes_can_be_asked_for_what_is_known_of_them(ill):
    report, params = ill
    found = report.findings[0]
    assert report.of(found.node).severity == "finding"
    assert report.of(found.node).findings[0] is found
    assert report.of(found.node.name).measures[0].saturated == found.figure
    _, loss = mlp((20, 16, 16, 5), jnp.tanh)
    again = trace(loss, params, *batch())
    assert report.of(again.node(found.node.name)).severity == "finding"
    assert report.severities["x"] == "healthy"
    assert set(report.severities) == {node.name for node in again.nodes}
    with pytest.raises(KeyError, match="no node 'nothing'"):
        report.of("nothing")


def test_json_holds_findings_measures_and_thresholds(ill, sequence):
    for report, *_ in (ill, sequence):
        found = json.loads(report.to_json())
        assert not found["healthy"]
        assert set(found["findings"][0]) == {
            "kind",
            "node",
            "index",
            "source",
            "figure",
            "unit",
            "message",
            "remedy",
            "nodes",
        }
        assert found["findings"][0]["index"] < len(report.graph.nodes)
        assert len(found["nodes"]) == len(report.nodes)
        assert set(found["thresholds"]) == set(THRESHOLDS)
        assert all(row["reason"] for row in found["thresholds"].values())
    assert found["sequences"][0]["steps"] == 30
    nan = health(lambda p: jnp.sum(jnp.log(p["x"])), {"x": jnp.zeros(2)})
    assert json.loads(nan.to_json())["value"] == "-inf"


def test_the_picture_is_written_whole_and_shows_every_panel(ill, sequence, tmp_path):
    ill[0].plot(tmp_path / "ill.svg")
    sequence[0].plot(tmp_path / "sequence.png")
    assert (tmp_path / "sequence.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "ill.svg").getroot().tag.endswith("svg")
    titles = [axes.get_title(loc="left") for axes in sequence[0].plot().axes]
    assert [title.split(":")[0] for title in titles] == ["by depth", "by time step", "idle units"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ill.svg", "sequence.png"]
    with pytest.raises(ValueError, match="bmq"):
        ill[0].plot(tmp_path / "ill.bmq")
    assert len(list(tmp_path.iterdir())) == 2
