"""Thin flax.nnx modules on the operators; no gradient is written here."""

from ._activations import PReLU as PReLU
from ._activations import Sigmoid as Sigmoid
from ._activations import Tanh as Tanh
from ._attention import MultiHeadAttention as MultiHeadAttention
from ._batch_norm import BatchNorm as BatchNorm
from ._dropout import Dropout as Dropout
from ._embed import Embed as Embed
from ._initializers import symmetric_uniform as symmetric_uniform
from ._layer_norm import LayerNorm as LayerNorm
from ._linear import Linear as Linear
from ._linear_general import LinearGeneral as LinearGeneral
from ._recurrent import RNN as RNN
from ._recurrent import SimpleCell as SimpleCell
