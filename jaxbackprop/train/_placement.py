"""Where a training's arrays live: on one device, or on a mesh of devices, over which jax splits the work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._batches import Batch, Part
from ._mesh import DATA, MODEL
from ._rows import RowUpdates

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

    def everywhere(self, array: jax.Array) -> jax.Array:
        """An array within a step, whole on every device."""
        ...

    def batch(self, batch: Batch) -> Batch:
        """A batch as a step takes it."""
        ...

    def part(self, size: int) -> slice | None:
        """The rows of a batch of this size that this process needs; None needs all of them."""
        ...

    def pace(self, state: Any) -> None:
        """Waits for a step that has been begun, where the next must not begin before its end."""
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

    def everywhere(self, array: jax.Array) -> jax.Array:
        """See `Placement`."""
        return array

    def batch(self, batch: Batch) -> Batch:
        """See `Placement`."""
        return batch

    def part(self, size: int) -> slice | None:
        """See `Placement`."""
        return None

    def pace(self, state: Any) -> None:
        """See `Placement`."""

    def zero(self) -> jax.Array:
        """See `Placement`."""
        return jax.device_put(np.float32(0))


class OnMesh:
    """Everything on a mesh with the axes ``data`` and ``model``; see `Placement`.

    A batch's examples are split over ``data``. Over ``model`` are split the tables that are trained by rows,
    by rows, and each other array with an axis of 4,096 entries and more, along its longest one, and with
    them their optimizer's state; all else is whole on every device. jax's compiler (Auto axes) splits the
    arithmetic and adds what the devices have to tell each other.

    jax's arrays are split evenly. A table of other length gets rows of zeros at its end, which no id reads;
    a batch gets examples that a mask marks, where the loss takes one. What else does not divide is whole on
    every device. (To slice within the step what was padded would suit every loss: XLA keeps uneven parts.
    But jaxlib 0.10.2 then adds to the wrong row in a scatter, and aborts at a sort.)

    Args:
        mesh: of the devices.
        init: (parameters, variables=) -> the state before the first step.
        params, variables, constants: of the model.
        tables: paths of the parameters that are trained by rows.
        mask: the entry of a batch that is to say which of its rows are examples, where not all are; None
            pads no batch.
        warn: told, in one line, of a batch that cannot be split.
    """

    def __init__(
        self,
        mesh: Mesh,
        init: Callable[..., Any],
        params: nnx.State,
        variables: nnx.State,
        constants: nnx.State,
        tables: Collection[Path],
        mask: str | None,
        warn: Callable[[str], None],
    ) -> None:
        self._mesh, self._init, self._mask, self._warn = mesh, init, mask, warn
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._whole_sizes: set[int] = set()
        self._parts = mesh.shape.get(MODEL, 1)
        self._true_state = jax.eval_shape(init, params, variables=variables)
        flat = dict(nnx.to_flat_state(params))
        self._tables: set[tuple[int, ...]] = set()
        for path in tables:
            table = flat[path][...]
            shape = (-(-len(table) // self._parts) * self._parts, *table.shape[1:])
            flat[path] = flat[path].replace(_extended(table, shape))
            self._tables.add(shape)
        self._params, self._variables = nnx.from_flat_state(flat), variables
        self.constants: nnx.State = self._put_all(constants)
        self._laid_out = jax.eval_shape(init, self._params, variables=variables)
        # The auxiliary scalars are known when the loss has been traced: one sharding for all of them.
        self.shardings: Any = jax.tree.map(self._sharding, self._laid_out)._replace(aux=self._everywhere)

    def begin(self) -> Any:
        """See `Placement`."""
        init = jax.jit(self._init, out_shardings=self.shardings)
        return init(self._put_all(self._params), variables=self._put_all(self._variables))

    def put(self, state: Any) -> Any:
        """See `Placement`."""

        def put(leaf: Any, laid_out: jax.ShapeDtypeStruct, sharding: NamedSharding) -> Any:
            return _put(_extended(leaf, laid_out.shape), sharding)

        return jax.tree.map(put, state, self._laid_out, self.shardings._replace(aux={}))

    def whole(self, part: Callable[[Any], Any], state: Any) -> Any:
        """See `Placement`."""
        return jax.tree.map(_gathered, part(state), part(self._true_state))

    def everywhere(self, array: jax.Array) -> jax.Array:
        """See `Placement`."""
        return jax.lax.with_sharding_constraint(array, self._everywhere)

    def batch(self, batch: Batch) -> Batch:
        """See `Placement`."""
        data, indices = batch
        start, whole = 0, None
        if isinstance(data, Part):
            data, start, whole = data
        rows = {len(leaf) for leaf in jax.tree.leaves(data) if np.ndim(leaf)}
        if len(rows) > 1:
            found = ", ".join(map(str, sorted(rows)))
            raise ValueError(
                f"a batch of data has arrays of {found} rows: on a mesh every array has one row an example"
            )
        if indices is None:
            there = rows.pop() if rows else 0
            # Of a part only the rows that are in it are asked for.
            indices = np.clip(np.arange(there if whole is None else whole) - start, 0, max(0, there - 1))
        size = len(indices)
        sharding, padding = self._split(size)
        # What a batch is padded with is an example again.
        indices = np.concatenate([indices, np.repeat(indices[-1:], padding)])

        def put(leaf: Any, indices: np.ndarray = indices) -> jax.Array:
            if not np.ndim(leaf):
                return _put(leaf, self._everywhere)

            def part(at: Any) -> Any:
                return leaf[indices[at[0]]]

            return jax.make_array_from_callback((len(indices), *np.shape(leaf)[1:]), sharding, part)

        placed = jax.tree.map(put, data)
        if padding:
            if not isinstance(data, dict):
                raise TypeError(
                    f"mask is {self._mask!r}, but a batch is no dict: it is {type(data).__name__}"
                )
            every = np.arange(len(indices))
            examples = every < size
            if self._mask in data:
                # The loss's own, which marks or weighs examples: zero for padding.
                theirs = data[self._mask][indices]
                theirs[~examples] = 0
                examples = theirs
            placed = {**placed, self._mask: put(examples, every)}
        return placed, None

    def part(self, size: int) -> slice | None:
        """See `Placement`."""
        sharding, padding = self._split(size)
        here = sharding.addressable_devices_indices_map((size + padding,)).values()
        places = np.unique(np.concatenate([np.arange(size + padding)[at] for at in here if at is not None]))
        # Where a process has none but padding, it is of the last example.
        first, last = min(places[0], size - 1), min(places[-1], size - 1)
        return None if (first, last) == (0, size - 1) else slice(int(first), int(last) + 1)

    def _split(self, size: int) -> tuple[NamedSharding, int]:
        """How a batch of this size lies on the mesh, and how many rows it is padded with."""
        parts = self._mesh.shape[DATA]
        if size % parts == 0 or self._mask is not None:
            return NamedSharding(self._mesh, PartitionSpec(DATA)), -size % parts
        if size not in self._whole_sizes:
            self._whole_sizes.add(size)
            self._warn(
                f"a batch of {size} examples does not divide over {DATA}={parts}, so that every device "
                "computes all of it: let the number be a multiple, or the loss take a mask"
            )
        return self._everywhere, 0

    def pace(self, state: Any) -> None:
        """See `Placement`."""
        # Devices that are threads of one CPU wait for each other within a step. With two steps under way they
        # can take up all threads, each waiting for one that has none.
        if jax.default_backend() == "cpu":
            jax.block_until_ready(state)

    def zero(self) -> jax.Array:
        """See `Placement`."""
        return _put(np.float32(0), self._everywhere)

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
            return self._everywhere
        return NamedSharding(self._mesh, PartitionSpec(*[None] * axis, MODEL))

    def _put_all(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: _put(leaf, self._sharding(leaf)), tree)


def place(
    mesh: Mesh | None,
    init: Callable[..., Any],
    params: nnx.State,
    variables: nnx.State,
    constants: nnx.State,
    rows: RowUpdates | None = None,
    mask: str | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Placement:
    """The placement on a mesh, or on one device where there is none; see `OnMesh`."""
    if mesh is None:
        return OneDevice(init, params, variables, constants)
    return OnMesh(mesh, init, params, variables, constants, () if rows is None else rows.lookups, mask, warn)


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
