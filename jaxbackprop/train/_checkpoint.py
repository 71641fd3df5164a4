"""Parameters on disk, by orbax; nothing else in the package knows it.

orbax restores a file with a flipped bit in silence, so the run folder keeps a sha256 of every file, which is
checked before orbax reads any. Saving is synchronous: a run saves once, and a disk that refuses is then an
ordinary error here rather than a complaint from orbax's threads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._run import CHECKPOINT, RunError

# Nested dicts of arrays.
Arrays = dict[str, Any]
# The shape and the dtype of an array.
Described = tuple[tuple[int, ...], str]


def save_parameters(folder: Path, parameters: Arrays) -> None:
    """Writes parameters to the checkpoint of a run folder.

    Args:
        folder: the run folder.
        parameters: nested dicts of arrays.

    Raises:
        RunError: the disk refuses.
    """
    import orbax.checkpoint as ocp

    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            tree = jax.tree.map(np.asarray, parameters)
            checkpointer.save(folder.absolute() / CHECKPOINT, args=ocp.args.StandardSave(tree))
    except OSError as error:
        raise RunError(f"cannot write {folder / CHECKPOINT}: {error.strerror or error}") from None


def load_parameters(folder: Path, expected: Arrays) -> Arrays:
    """Reads the parameters of a run folder whose checksums have been checked.

    Args:
        folder: the run folder.
        expected: nested dicts of what has a shape and a dtype, as the model has them.

    Returns:
        The parameters, NumPy arrays in the same nested dicts.

    Raises:
        RunError: the checkpoint is unreadable, or holds other parameters than those expected.
    """
    import orbax.checkpoint as ocp

    path = folder.absolute() / CHECKPOINT
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            # orbax restores an array of another shape than asked for without a word.
            stored = checkpointer.metadata(path).item_metadata.tree
            _compare(folder, _named(stored), _named(expected))
            target = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), expected)
            restored: Arrays = checkpointer.restore(path, args=ocp.args.StandardRestore(target))
            return restored
    except RunError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise RunError(f"{folder / CHECKPOINT} is not a readable checkpoint: {reason}") from None


def _named(tree: Arrays) -> dict[str, Described]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: hasattr(node, "shape"))
    return {
        "/".join(str(getattr(entry, "key", entry)) for entry in path): (
            tuple(leaf.shape),
            str(np.dtype(leaf.dtype)),
        )
        for path, leaf in leaves
    }


def _compare(folder: Path, stored: dict[str, Described], expected: dict[str, Described]) -> None:
    for name in sorted(stored.keys() | expected.keys()):
        if stored.get(name) != expected.get(name):
            raise RunError(
                f"{folder / CHECKPOINT} does not fit its configuration: {name} is "
                f"{_describe(stored.get(name))}, expected {_describe(expected.get(name))}"
            )


def _describe(array: Described | None) -> str:
    return "absent" if array is None else f"{array[1]} of shape {array[0]}"
