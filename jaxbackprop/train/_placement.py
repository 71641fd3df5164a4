"""Where a training's arrays live: on one device, or on a mesh of devices, over which jax splits the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._batches import Batch
from ._mesh import DATA, MODEL
from ._rows import RowUpdates

# What a step takes of a batch: data, which rows of it, and how many of its rows are examples.
Placed = tuple[Any, np.ndarray | None, int | None]
Path = tuple[Any, ...]
# An array without an axis of this length is small: every device has it whole.
_LARGE = 4096


class Placement(Protocol):
    """Where a training's arrays live.

    Attributes:
        constants: the rest of the model, as a step takes it.
        shardings: of a training state, as `jax.jit` takes them; None leaves them to jax.
    """

    constants: nnx.State
    shardings: Any

    def begin(self) -> Any:
        """The state before the first step."""
        ...

    def put(self, state: Any) -> Any:
        """A state, as `whole` gave it, where a step takes it from."""
        ...

    def whole(self, part: Callable[[Any], Any], state: Any) -> Any:
        """A part of a state as this process holds it by itself: on no mesh, every array whole.

        Args:
            part: state -> the part.
            state: the state.
        """
        ...

    def trim(self, params: nnx.State) -> nnx.State:
        """Parameters or constants within a step, of their true shapes."""
        ...

    def everywhere(self, array: jax.Array) -> jax.Array:
        """An array within a step, whole on every device."""
        ...

    def batch(self, batch: Batch) -> Placed:
        """A batch as a step takes it."""
        ...

    def zero(self) -> jax.Array:
        """A float32 zero, to begin the sum of the losses again with."""
        ...


class OneDevice:
    """Everything on jax's default device; see `Placement`.

    Args:
        init: (parameters, variables=) -> the state before the first step.
        params, variables, constants: of the model.
    """

    shardings: Any = None

    def __init__(
        self,
        init: Callable[..., Any],
        params: nnx.State,
        variables: nnx.State,
        constants: nnx.State,
    ) -> None:
        self._init, self._params, self._variables = init, params, variables
        self.constants = constants

    def begin(self) -> Any:
        """See `Placement`."""
        return self._init(self._params, variables=self._variables)

    def put(self, state: Any) -> Any:
        """See `Placement`."""
        return state

    def whole(self, part: Callable[[Any], Any], state: Any) -> Any:
        """See `Placement`."""
        return part(state)

    def trim(self, params: nnx.State) -> nnx.State:
        """See `Placement`."""
        return params

    def everywhere(self, array: jax.Array) -> jax.Array:
        """See `Placement`."""
        return array

    def batch(self, batch: Batch) -> Placed:
        """See `Placement`."""
        return *batch, None

    def zero(self) -> jax.Array:
        """See `Placement`."""
        return jax.device_put(np.float32(0))


class OnMesh:
    """Everything on a mesh with the axes ``data`` and ``model``; see `Placement`.

    A batch's examples are split over ``data``. Over ``model`` are split the tables that are trained by rows,
    by rows, and each other array with an axis of 4,096 entries and more, along its longest one, and with
    them their optimizer's state; all else is whole on every device. jax's compiler (Auto axes) splits the
    arithmetic and adds what the devices have to tell each other.

    jax's arrays are split evenly. So a batch or parameter that does not divide is padded on its way there,
    and cut to its true length within the compiled step, where the compiler keeps uneven parts: the loss, its
    mean and its random numbers are those of one device.

    Args:
        mesh: of the devices.
        init: (parameters, variables=) -> the state before the first step.
        params, variables, constants: of the model.
        tables: paths of the parameters that are trained by rows. Nothing reads them but by ids, so they stay
            padded within a step.
    """

    def __init__(
        self,
        mesh: Mesh,
        init: Callable[..., Any],
        params: nnx.State,
        variables: nnx.State,
        constants: nnx.State,
        tables: Collection[Path] = (),
    ) -> None:
        self._mesh, self._init = mesh, init
        self._parts = mesh.shape.get(MODEL, 1)
        flat = dict(nnx.to_flat_state(params))
        self._tables = {_padded(np.shape(flat[path][...]), 0, self._parts) for path in tables}
        self._true: dict[Path, tuple[int, ...]] = {}
        self._true_state = jax.eval_shape(init, params, variables=variables)
        self._params, self._variables = self._pad(params, tables), variables
        self.constants: nnx.State = self._put_all(self._pad(constants, ()))
        state = jax.eval_shape(init, self._params, variables=variables)
        # The auxiliary scalars are known when the loss has been traced: one sharding for all of them.
        whole = NamedSharding(mesh, PartitionSpec())
        self.shardings: Any = jax.tree.map(self._sharding, state)._replace(aux=whole)

    def begin(self) -> Any:
        """See `Placement`."""
        init = jax.jit(self._init, out_shardings=self.shardings)
        return init(self._put_all(self._params), variables=self._put_all(self._variables))

    def put(self, state: Any) -> Any:
        """See `Placement`."""

        def put(leaf: Any, sharding: NamedSharding) -> Any:
            return _put(_extended(leaf, self._padded_shape(np.shape(leaf), sharding)), sharding)

        return jax.tree.map(put, state._replace(aux={}), self.shardings._replace(aux={}))

    def whole(self, part: Callable[[Any], Any], state: Any) -> Any:
        """See `Placement`."""
        return jax.tree.map(_gathered, part(state), part(self._true_state))

    def trim(self, params: nnx.State) -> nnx.State:
        """See `Placement`."""
        if not self._true:
            return params
        flat = dict(nnx.to_flat_state(params))
        for path, shape in self._true.items():
            if path in flat:
                flat[path] = flat[path].replace(flat[path][...][tuple(map(slice, shape))])
        return nnx.from_flat_state(flat)

    def everywhere(self, array: jax.Array) -> jax.Array:
        """See `Placement`."""
        return jax.lax.with_sharding_constraint(array, NamedSharding(self._mesh, PartitionSpec()))

    def batch(self, batch: Batch) -> Placed:
        """See `Placement`."""
        data, indices = batch
        leaves = jax.tree.leaves(data)
        rows = {len(leaf) for leaf in leaves if np.ndim(leaf)} if indices is None else {len(indices)}
        if len(rows) > 1:
            found = ", ".join(map(str, sorted(rows)))
            raise ValueError(
                f"a batch of data has arrays of {found} rows: on a mesh every array has one row an example"
            )
        size = rows.pop() if rows else 0
        # Where parts are uneven and each is on several devices, XLA's partitioner adds what is behind the last
        # example to row 0 of a scatter (seen in jaxlib 0.10.2). So such a batch is split over all devices.
        over = (DATA,) if size % self._mesh.shape[DATA] == 0 else self._mesh.axis_names
        parts = math.prod(self._mesh.shape[name] for name in over)
        places = np.arange(-(-size // parts) * parts)
        # What is too much reads an example again; the step cuts it off.
        places = np.where(places < size, places, 0)
        places = places if indices is None else indices[places]
        split = NamedSharding(self._mesh, PartitionSpec(over))
        whole = NamedSharding(self._mesh, PartitionSpec())

        def part(leaf: Any, at: tuple[slice, ...] | None) -> Any:
            assert at is not None
            return leaf[places[at[0]]]

        def put(leaf: Any) -> jax.Array:
            if not np.ndim(leaf):
                return _put(leaf, whole)
            shape = (len(places), *np.shape(leaf)[1:])
            return jax.make_array_from_callback(shape, split, partial(part, leaf))

        return jax.tree.map(put, data), None, size

    def zero(self) -> jax.Array:
        """See `Placement`."""
        return _put(np.float32(0), NamedSharding(self._mesh, PartitionSpec()))

    def _axis(self, shape: tuple[int, ...]) -> int | None:
        """The axis along which an array of this shape is split, if it is."""
        if self._parts == 1:
            return None
        if shape in self._tables:
            return 0
        return int(np.argmax(shape)) if shape and max(shape) >= _LARGE else None

    def _sharding(self, leaf: Any) -> NamedSharding:
        axis = self._axis(leaf.shape)
        if axis is None or leaf.shape[axis] % self._parts:
            return NamedSharding(self._mesh, PartitionSpec())
        return NamedSharding(self._mesh, PartitionSpec(*[None] * axis, MODEL))

    def _pad(self, params: nnx.State, tables: Collection[Path]) -> nnx.State:
        """Parameters whose split axis divides; what was padded, but for tables, is noted in `_true`."""
        flat = dict(nnx.to_flat_state(params))
        for path, variable in flat.items():
            shape = np.shape(variable[...])
            axis = 0 if path in tables else self._axis(shape)
            if axis is None or not shape[axis] % self._parts:
                continue
            flat[path] = variable.replace(_extended(variable[...], _padded(shape, axis, self._parts)))
            if path not in tables:
                self._true[path] = shape
        return nnx.from_flat_state(flat)

    def _padded_shape(self, shape: tuple[int, ...], sharding: NamedSharding) -> tuple[int, ...]:
        split = [axis for axis, name in enumerate(sharding.spec) if name is not None]
        return _padded(shape, split[0], self._parts) if split else shape

    def _put_all(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: _put(leaf, self._sharding(leaf)), tree)


def place(
    mesh: Mesh | None,
    init: Callable[..., Any],
    params: nnx.State,
    variables: nnx.State,
    constants: nnx.State,
    rows: RowUpdates | None,
) -> Placement:
    """The placement on a mesh, or on one device where there is none; see `OnMesh`."""
    if mesh is None:
        return OneDevice(init, params, variables, constants)
    return OnMesh(mesh, init, params, variables, constants, () if rows is None else rows.lookups)


def _padded(shape: tuple[int, ...], axis: int, parts: int) -> tuple[int, ...]:
    """The shape with one axis rounded up to what divides into so many parts."""
    return (*shape[:axis], -(-shape[axis] // parts) * parts, *shape[axis + 1 :])


def _extended(array: Any, shape: tuple[int, ...]) -> Any:
    """The array with zeros behind, up to a shape."""
    if np.shape(array) == shape:
        return array
    larger = np.zeros(shape, array.dtype)
    larger[tuple(map(slice, np.shape(array)))] = array
    return larger


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process has whole, on a mesh."""
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array) and _is_key(leaf):
        numbers = _put(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(numbers, impl=jax.random.key_impl(leaf))
    array = np.asarray(leaf)
    return jax.make_array_from_callback(array.shape, sharding, lambda at: array[at])


def _gathered(leaf: jax.Array, true: jax.ShapeDtypeStruct) -> Any:
    """An array of a mesh whole in this process, cut to its true shape: NumPy's, which has no random keys."""
    if _is_key(leaf):
        numbers = _gathered(jax.random.key_data(leaf), jax.eval_shape(jax.random.key_data, true))
        return jax.random.wrap_key_data(jnp.asarray(numbers), impl=jax.random.key_impl(leaf))
    here = leaf.is_fully_addressable or leaf.is_fully_replicated
    array = np.asarray(leaf) if here else multihost_utils.process_allgather(leaf, tiled=True)
    # A copy: the next step writes over the array.
    return np.array(array[tuple(map(slice, true.shape))])
