"""Pytrees as a checkpoint holds them: nested dicts of arrays, each array found by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# The shape and the dtype of an array.
Described = tuple[tuple[int, ...], str]


def nested(tree: Any) -> dict[str, Any]:
    """A pytree as nested dicts: of random keys their numbers, of arrays that hold nothing nothing."""
    result: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not math.prod(leaf.shape):
            continue
        *folders, name = _names(path)
        at = result
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = _numbers(leaf)
    return result


def like(tree: Mapping[str, Any], expected: Any) -> Any:
    """What `nested` made of a pytree like `expected`, as such a pytree again, on the same devices."""

    def find(path: tuple[Any, ...], leaf: Any) -> Any:
        if not math.prod(leaf.shape):
            return leaf
        value: Any = tree
        for name in _names(path):
            value = value[name]
        if not isinstance(leaf, jax.Array):
            return value
        if _is_key(leaf):
            value = jax.random.wrap_key_data(jnp.asarray(value), impl=jax.random.key_impl(leaf))
        return jax.device_put(value, leaf.sharding)

    return jax.tree_util.tree_map_with_path(find, expected)


def merged(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts that hold the arrays of all of these."""
    result: dict[str, Any] = {}
    for tree in trees:
        for name, value in tree.items():
            result[name] = merged(result.get(name, {}), value) if isinstance(value, Mapping) else value
    return result


def by_name(tree: Any) -> dict[str, Described]:
    """Shape and dtype of every array of nested dicts, by its path with slashes."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: hasattr(node, "shape"))
    return {
        "/".join(map(str, _names(path))): (tuple(leaf.shape), str(np.dtype(leaf.dtype)))
        for path, leaf in leaves
    }


def describe_difference(stored: Mapping[str, Described], expected: Mapping[str, Described]) -> str:
    """The first array, by name, that is another in the two; empty where none is."""
    for name in sorted(stored.keys() | expected.keys()):
        if stored.get(name) != expected.get(name):
            return f"{name} is {_describe(stored.get(name))}, expected {_describe(expected.get(name))}"
    return ""


def sha256_of(tree: Any) -> str:
    """One checksum of all leaves of a pytree, in order: dtype, shape and bytes of each."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(_numbers(leaf))
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _names(path: tuple[Any, ...]) -> list[str]:
    """What a path goes through, as names; the value of a flax variable is the variable itself."""
    names = [str(getattr(entry, "key", getattr(entry, "idx", getattr(entry, "name", "")))) for entry in path]
    return names[:-1] if len(names) > 1 and names[-1] == "value" else names


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _numbers(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _describe(array: Described | None) -> str:
    return "absent" if array is None else f"{array[1]} of shape {array[0]}"
