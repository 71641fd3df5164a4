"""Optimizers that touch the rows of a table that a batch looked up, and no other.

They take the `RowGradient` that :func:`jaxbackprop.optim.value_and_row_grad` gives and are optax's
transformations: they chain, follow schedules, and stand beside any optimizer for the rest of the parameters
in `optax.multi_transform` (`optax.partition`) with static labels. Under `jax.jit` with the table and the
state donated, the rows are written in place: a step's time and memory depend on the batch, not on the table.
The table may be split over devices by rows.

| transformation | against its dense namesake |
|---|---|
| `sgd`, `adagrad` | exact: the same trajectory |
| `lazy_adam` | lazy: equals torch.optim.SparseAdam, differs from Adam for rows that rest |
| `clip_by_global_norm` | exact, over arrays and row gradients together |
| `add_decayed_rows` | lazy: only touched rows decay |
"""

from ._row_clip import add_decayed_rows as add_decayed_rows
from ._row_clip import clip_by_global_norm as clip_by_global_norm
from ._row_clip import global_norm as global_norm
from ._row_transforms import AdagradState as AdagradState
from ._row_transforms import LazyAdamState as LazyAdamState
from ._row_transforms import SgdState as SgdState
from ._row_transforms import adagrad as adagrad
from ._row_transforms import lazy_adam as lazy_adam
from ._row_transforms import sgd as sgd
