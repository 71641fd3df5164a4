"""Thin flax.nnx modules on the operators; no gradient is written here."""

from ._dropout import Dropout as Dropout
from ._embed import Embed as Embed
from ._initializers import symmetric_uniform as symmetric_uniform
from ._linear import Linear as Linear
