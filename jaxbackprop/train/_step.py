"""One update of a model: a pure, donated step under jit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ._placement import Placement
from ._rows import RowUpdates, scaled

# (model, batch, key) -> loss, or (loss, auxiliary results).
Loss = Callable[[Any, Any, jax.Array], Any]


class TrainState(NamedTuple):
    """All that a step changes; its buffers are given to the next step.

    Attributes:
        step: updates made so far, int32.
        params: the trained parameters, as nnx.split gives them.
        variables: what else of the model a forward pass changes, such as batch statistics and dropout counts.
        average: running average of the parameters, or None where none is kept.
        opt_state: the optimizer's state for those parameters.
        loss_sum: sum of the losses since it was last read, float32.
        aux: the auxiliary scalars of the last step's loss, float32, by name; a step is given none.
        bad_step: the first update whose loss was nan or infinite, or -1.
    """

    step: Int[Array, ""]
    params: nnx.State
    variables: nnx.State
    average: nnx.State | None
    opt_state: optax.OptState
    loss_sum: Float[Array, ""]
    aux: dict[str, Float[Array, ""]]
    bad_step: Int[Array, ""]


class Step(Protocol):
    """One update; the state passed in is used up."""

    def __call__(
        self,
        state: TrainState,
        constants: nnx.State,
        data: Any,
        indices: ArrayLike | None,
        scale: ArrayLike | None = None,
    ) -> TrainState:
        """Makes one update."""
        ...

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """The update on its way to be compiled, for these arguments; it is then compiled once."""
        ...


def init_state(
    params: nnx.State,
    optimizer: optax.GradientTransformation,
    *,
    variables: nnx.State | None = None,
    average: float = 0.0,
    rows: RowUpdates | None = None,
) -> TrainState:
    """The state before the first step; see `make_step` for the arguments. Copies parameters and variables."""

    @jax.jit  # one program, rather than one for the shape of every parameter
    def init(params: nnx.State, variables: nnx.State) -> TrainState:
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=jax.tree.map(jnp.copy, params),
            variables=jax.tree.map(jnp.copy, variables),
            average=jax.tree.map(jnp.copy, params) if average else None,
            opt_state=optimizer.init(params)
            if rows is None
            else rows.beside(optimizer).init(rows.split(params)),
            loss_sum=jnp.zeros((), jnp.float32),
            aux={},
            bad_step=jnp.full((), -1, jnp.int32),
        )

    state: TrainState = init(params, nnx.State({}) if variables is None else variables)
    return state


def make_step(
    graphdef: nnx.GraphDef[Any],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    average: float = 0.0,
    rows: RowUpdates | None = None,
    placement: Placement | None = None,
) -> Step:
    """Compiles one update of the parameters.

    The step is a pure function of (state, constants, data, indices): the randomness of step t comes from
    ``fold_in(key, t)``, so nothing but the state needs to be kept to go on from it.

    Args:
        graphdef: the model's structure, from ``nnx.split(model, trainable, ...)``.
        loss: (model, batch, key) -> scalar, or (scalar, auxiliary results).
        optimizer: optax's transformation. One that asks for it is told the loss's value and function.
        key: the run's random key.
        average: decay d of the running average a <- d a + (1 - d) params, below 1; 0 keeps none. The first
            updates are averaged with the smaller decay (1 + t) / (10 + t), so that the initial parameters
            are soon forgotten.
        rows: the tables that are trained by the rows that a batch looks up, if any; the optimizer is then
            that of the other parameters.
        placement: where the arrays live; None takes jax's default device.

    Returns:
        A jitted function that donates the state's buffers. ``constants`` is the rest of the model, for
        which no gradient and no optimizer state exist; ``data`` is a pytree of arrays with one row an
        example, of which ``indices`` picks the batch; where ``indices`` is None, ``data`` is the batch.
        The optimizer's updates are multiplied by ``scale``, a float32 scalar, where that is given.
    """
    transformation = optax.with_extra_args_support(optimizer if rows is None else rows.beside(optimizer))
    everywhere = (lambda array: array) if placement is None else placement.everywhere

    def step(
        state: TrainState,
        constants: nnx.State,
        data: Any,
        indices: Array | None,
        scale: Array | None = None,
    ) -> TrainState:
        batch = data if indices is None else jax.tree.map(lambda examples: examples[indices], data)
        step_key = jax.random.fold_in(key, state.step)

        def objective(params: nnx.State, batch: Any) -> tuple[Array, tuple[dict[str, Array], nnx.State]]:
            # Variables can be changed only in the trace that made them: this one.
            variables = jax.tree.map(lambda leaf: leaf, state.variables)
            model = nnx.merge(graphdef, params, variables, constants)
            value, aux = _value_and_scalars(loss(model, batch, step_key))
            return value, (aux, _updated(state.variables, model))

        # optax multiplies counts by floats, which strict promotion would refuse.
        standard = jax.numpy_dtype_promotion("standard")
        if rows is not None:
            (value, (aux, variables)), params, opt_state = rows.step(
                transformation, objective, state.params, state.opt_state, batch, scale, everywhere
            )
        else:
            (value, (aux, variables)), grads = jax.value_and_grad(objective, has_aux=True)(
                state.params, batch
            )
            told = {"value": value, "grad": grads, "value_fn": lambda params: objective(params, batch)[0]}
            with standard:
                updates, opt_state = transformation.update(grads, state.opt_state, state.params, **told)
            params = optax.apply_updates(state.params, scaled(updates, scale))
        running = state.average
        if average:
            t = state.step.astype(jnp.float32)
            fresh = 1 - jnp.minimum(average, (1 + t) / (10 + t))
            running = jax.tree.map(lambda a, p: a + fresh.astype(a.dtype) * (p - a), running, params)
        value = value.astype(jnp.float32)
        good = state.bad_step < 0
        return TrainState(
            step=state.step + 1,
            params=params,
            variables=variables,
            average=running,
            opt_state=opt_state,
            loss_sum=jnp.where(good, state.loss_sum + value, state.loss_sum),
            aux=aux,
            bad_step=jnp.where(good & ~jnp.isfinite(value), state.step, state.bad_step),
        )

    shardings = None if placement is None else placement.shardings
    return jax.jit(step, donate_argnums=0, out_shardings=shardings)


def _value_and_scalars(result: Any) -> tuple[Array, dict[str, Array]]:
    """What a loss returns, taken apart: the loss, and its auxiliary scalars by name in float32.

    Auxiliary arrays that are no scalars (logits, say) are left out.

    Raises:
        TypeError: the loss is no real floating-point scalar.
    """
    value, aux = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if value is None:
        raise TypeError("the loss must be a floating-point scalar, not None")
    value = jnp.asarray(value)
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"the loss must be a floating-point scalar, not {value.dtype} of shape {value.shape}")
    scalars = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(aux):
        if isinstance(leaf, str | bytes):
            raise TypeError(f"the loss's auxiliary results must be numbers, not {leaf!r:.40}")
        if jnp.shape(leaf) == () and not jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            name = "/".join(str(getattr(entry, "key", getattr(entry, "idx", entry))) for entry in path)
            scalars[name or "aux"] = jnp.asarray(leaf).astype(jnp.float32)
    return value, scalars


def _updated(variables: nnx.State, model: Any) -> nnx.State:
    """The variables as a forward pass has left them; what it has added (intermediates) is dropped."""
    if not jax.tree.leaves(variables):
        return variables
    now: Mapping[Any, Any] = dict(nnx.to_flat_state(nnx.state(model)))
    return nnx.from_flat_state({path: now[path] for path, _ in nnx.to_flat_state(variables)})
