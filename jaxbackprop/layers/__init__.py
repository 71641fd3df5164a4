"""Thin flax.nnx modules on the operators; no gradient is written here."""

from jaxbackprop.layers._dropout import Dropout as Dropout
from jaxbackprop.layers._embed import Embed as Embed
from jaxbackprop.layers._initializers import symmetric_uniform as symmetric_uniform
from jaxbackprop.layers._linear import Linear as Linear
