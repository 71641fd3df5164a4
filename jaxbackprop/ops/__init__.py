"""The operators: each forward with its hand-written vector-Jacobian product, on jax.custom_vjp.

They have reverse mode alone; `jaxbackprop.ops.plain` holds the same functions for forward mode.
"""

from . import plain as plain
from ._activations import elu as elu
from ._activations import gelu as gelu
from ._activations import hardtanh as hardtanh
from ._activations import leaky_relu as leaky_relu
from ._activations import max as max
from ._activations import maximum as maximum
from ._activations import prelu as prelu
from ._activations import relu as relu
from ._activations import sigmoid as sigmoid
from ._activations import silu as silu
from ._activations import softplus as softplus
from ._activations import tanh as tanh
from ._attention import attention as attention
from ._batch_norm import batch_norm as batch_norm
from ._batch_norm import batch_norm_inference as batch_norm_inference
from ._dropout import dropout as dropout
from ._embedding import embedding as embedding
from ._gates import add as add
from ._gates import copy as copy
from ._gates import multiply as multiply
from ._l2 import l2 as l2
from ._layer_norm import layer_norm as layer_norm
from ._linear import linear as linear
from ._linear_softmax_cross_entropy import linear_softmax_cross_entropy as linear_softmax_cross_entropy
from ._losses import logsumexp as logsumexp
from ._losses import mean_squared_error as mean_squared_error
from ._losses import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from ._losses import softmax as softmax
from ._pooling import max_pool as max_pool
from ._rnn import bare_rnn as bare_rnn
from ._rnn import rnn as rnn
from ._softmax_cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from ._window import window_lookup as window_lookup
