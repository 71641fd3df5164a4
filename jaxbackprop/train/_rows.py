"""Training tables by the rows that a batch looks up, inside a step whose model looks up by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import optax
from flax import nnx
from jaxtyping import Array, Float

from jaxbackprop.optim import RowGradient, gathered_table, value_and_row_grad

Batch = dict[str, Array]
Path = tuple[str, ...]
Aux = TypeVar("Aux")


@dataclass(frozen=True)
class RowUpdates:
    """Which tables are trained by rows, and how.

    The model keeps its lookup: for the time of a step it gets a small table, with a row for each id of the
    batch, and the places of the ids in it. So nothing else in the loss may read such a table, or its ids.

    Attributes:
        optimizer: a transformation of :mod:`jaxbackprop.optim.rows`.
        lookups: path of each table in the parameters -> the entry of the batch that holds its ids.
        padding_id: an id that is no row, negative, or None.
        clipping: what changes the gradients of tables and other parameters together, before their
            optimizers, or None; a transformation of :mod:`jaxbackprop.optim.rows` too.
    """

    optimizer: optax.GradientTransformation
    lookups: Mapping[Path, str]
    padding_id: int | None = None
    clipping: optax.GradientTransformation | None = None

    def beside(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """The transformation of (the other parameters, the tables)."""
        apart = optax.multi_transform({"dense": optimizer, "rows": self.optimizer}, ("dense", "rows"))
        return apart if self.clipping is None else optax.chain(self.clipping, apart)

    def split(self, params: nnx.State) -> tuple[nnx.State, dict[Path, Float[Array, "V d"]]]:
        """The other parameters, and the tables by path.

        Raises:
            ValueError: a path leads to no parameter.
        """
        flat = dict(nnx.to_flat_state(params))
        for path in self.lookups:
            if path not in flat:
                known = ", ".join("/".join(map(str, other)) for other in flat)
                raise ValueError(f"lookups name {'/'.join(path)}, but the parameters are {known}")
        tables = {path: flat.pop(path)[...] for path in self.lookups}
        return nnx.from_flat_state(flat), tables

    def join(self, params: nnx.State, others: nnx.State, tables: Mapping[Path, Array]) -> nnx.State:
        """The state that `split` took apart, with these values."""
        flat = dict(nnx.to_flat_state(params)) | dict(nnx.to_flat_state(others))
        return nnx.from_flat_state(flat | {path: flat[path].replace(table) for path, table in tables.items()})

    def step(
        self,
        optimizer: optax.GradientTransformationExtraArgs,
        objective: Callable[[nnx.State, Batch], tuple[Float[Array, ""], Aux]],
        params: nnx.State,
        opt_state: optax.OptState,
        batch: Batch,
        scale: Float[Array, ""] | None = None,
        everywhere: Callable[[Array], Array] = lambda ids: ids,
    ) -> tuple[tuple[Float[Array, ""], Aux], nnx.State, optax.OptState]:
        """One update.

        Args:
            optimizer: what `beside` gave.
            objective: (params, batch) -> (loss, auxiliary results).
            params: all parameters.
            opt_state: the optimizer's state.
            batch: with the ids.
            scale: what the updates are multiplied by; None leaves them as they are.
            everywhere: makes an array whole on every device.

        Returns:
            What the objective gave, and the new parameters and state.
        """
        others, tables = self.split(params)
        # Which ids are the same is found out on each device, rather than between them in many small messages.
        ids = {path: everywhere(batch[name]) for path, name in self.lookups.items()}

        def loss(others: nnx.State, rows: dict[Path, Array]) -> tuple[Array, Aux]:
            small, places = dict(rows), dict(batch)
            for path, name in self.lookups.items():
                small[path], places[name] = gathered_table(rows[path], ids[path], padding_id=self.padding_id)
            return objective(self.join(params, others, small), places)

        value, grads = value_and_row_grad(loss, has_aux=True, padding_id=self.padding_id)(others, tables, ids)
        # optax multiplies counts by floats, which strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, opt_state, (others, tables), value=value[0])
        others, tables = optax.apply_updates((others, tables), scaled(updates, scale))
        return value, self.join(params, others, tables), opt_state


def scaled(updates: Any, scale: Float[Array, ""] | None) -> Any:
    """Updates times a number, those of tables too; as they are where it is None."""
    if scale is None:
        return updates
    return jax.tree.map(
        lambda update: update * scale.astype(update.dtype),
        updates,
        is_leaf=lambda node: isinstance(node, RowGradient),
    )
