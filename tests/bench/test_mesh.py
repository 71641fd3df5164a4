"""What devices tell each other, read from a program; and how a step would scale, from an α-β model."""

import json
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxbackprop import bench
from jaxbackprop.bench import _mesh, _mesh_worker
from jaxbackprop.bench._collectives import Collective, collectives, moved
from jaxbackprop.bench._mesh import _read
from jaxbackprop.bench._scaling import MACHINES, Machine, StepCost, project, stops

RING = Machine("ring", 8, (8,), operations=1e12, memory=1e12, link=1e9, latency=0.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "  %all-reduce.9 = (f32[32]{0}, /*index=1*/bf16[5,3]{1,0}, f32[]) all-reduce(%a, %b, %c), "
            "channel_id=1, replica_groups=mesh['axis_0'=8,'axis_1'=2] {'axis_0'}, to_apply=%add",
            Collective("all-reduce", ("f32[32]", "bf16[5,3]", "f32[]"), 128 + 30 + 4, 8, False),
        ),
        (
            "  all-gather.1 = s32[30,5]{1,0} all-gather(p), replica_groups=[4,2]<=[8], dimensions={0}",
            Collective("all-gather", ("s32[30,5]",), 600, 2, False),
        ),
        (
            "  %r = pred[7]{0} collective-permute(%x), source_target_pairs={{0,1},{1,2},{2,0}}",
            Collective("collective-permute", ("pred[7]",), 7, 3, False),
        ),
        (
            "  ROOT %s = (f32[8]{0}, f32[64]{0}) all-gather-start(%x), replica_groups={{0,1,2},{3,4,5}}",
            Collective("all-gather", ("f32[64]",), 256, 3, False),
        ),
        ("  %d = f32[64]{0} all-gather-done(%s)", None),
        ("  %x = f32[64]{0} add(%all-reduce.1, %all-gather.2)", None),
    ],
)
def test_an_operation_is_read(line, expected):
    found = collectives("ENTRY %main (p: f32[8]) -> f32[8] {\n" + line + "\n}")
    assert found == ([] if expected is None else [expected])
    (nested,) = collectives("%body (p: f32[8]) -> f32[8] {\n" + line + "\n}") or (None,)
    assert (nested is None) == (expected is None)
    assert nested is None or nested.nested


def test_a_real_program_is_read():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    x = jax.device_put(jnp.ones((8, 3)), NamedSharding(mesh, P("data")))
    whole = NamedSharding(mesh, P())
    program = jax.jit(lambda x: x.T @ x, out_shardings=whole).lower(x).compile()
    assert collectives(program.as_text()) == [Collective("all-reduce", ("f32[3,3]",), 36, 4, False)]
    gather = jax.jit(lambda x: 2 * x, out_shardings=whole).lower(x).compile()
    assert moved(collectives(gather.as_text())) == {"all-gather": 96}


def test_a_step_that_tells_nothing_scales_and_one_that_is_all_told_does_not():
    free = project(StepCost(1e6, 0.0, 0.0, {}), RING, 1024, each=False)
    assert [one.devices for one in free] == [1, 2, 4, 8]
    assert all(one.efficiency == pytest.approx(1) for one in free)
    assert free[-1].seconds == pytest.approx(free[0].seconds / 8)
    assert stops(free) is None
    told = project(StepCost(1e6, 0.0, 0.0, {"all-reduce": (1e9, 0.0)}), RING, 1024, each=False)
    assert stops(told) == 2


def test_a_ring_sends_each_part_around():
    """An all-reduce of n bytes on p devices: 2 (p - 1) messages of n / p; an all-gather half of that."""
    for kind, around in (("all-reduce", 2), ("all-gather", 1)):
        cost = StepCost(0.0, 0.0, 1.0, {kind: (8e9, 0.0)})
        one, *_, eight = project(cost, RING, 1, each=False)
        assert eight.seconds - one.seconds == pytest.approx(around * 7)


def test_what_grows_with_the_batch_is_told_of_the_whole_batch():
    cost = StepCost(0.0, 1.0, 0.0, {"all-gather": (0.0, 1e6)})
    *_, eight = project(cost, RING, 100, each=True)
    assert eight.words == 800
    assert eight.seconds == pytest.approx(7 * 800e6 / 8 / 1e9, rel=1e-6)


def test_a_torus_goes_around_one_ring_after_the_other():
    torus = Machine("torus", 16, (4, 4), operations=1e12, memory=1e12, link=1e9, latency=1.0)
    cost = StepCost(0.0, 1.0, 0.0, {"all-reduce": (0.0, 0.0)})
    found = project(cost, torus, 1, each=False)
    assert [round(one.seconds) for one in found] == [0, 2, 6, 8, 12]


def test_the_machines_are_what_their_makers_say():
    assert [(machine.devices, machine.rings) for machine in MACHINES] == [(8, (8,)), (256, (16, 16))]


@pytest.mark.exhaustive
def test_what_its_process_measures_is_read(monkeypatch, capsys):
    """The process's work is done in this one, on fewer meshes and for fewer steps."""
    monkeypatch.setattr(_mesh_worker, "MESHES", (None, "data=2"))
    monkeypatch.setattr(_mesh_worker, "_STEPS", 3)
    monkeypatch.setattr(_mesh_worker, "_TURNS", 1)
    monkeypatch.setattr(sys, "argv", ["", "32"])
    _mesh_worker.main()
    found = _read(json.loads(capsys.readouterr().out))
    assert [one.mesh for one in found.measured] == [None, "data=2"]
    assert found.measured[0].moved == {}
    assert found.measured[0].apart == 0
    assert 0 < found.measured[1].apart < 1e-3
    assert found.measured[1].moved["all-reduce"] > 100_000
    assert len(json.loads(json.dumps(found.to_dict()))["projected"]) == 2
    assert "less than half used from" in "\n".join(found.lines())
    fixed, a_word = found.cost.moved["all-reduce"]
    # Of the rows that a word looks up, each device gets all gradients; the rest does not grow.
    assert a_word == pytest.approx(5 * 50 * 4)
    assert fixed > 500_000


def test_a_process_that_fails_is_said(monkeypatch):
    monkeypatch.setattr(_mesh, "_WORKER", "raise SystemExit('no devices')")
    with pytest.raises(bench.CannotBench, match="mesh: no devices"):
        bench.mesh(lambda line: None)
