"""The operators: each forward with its hand-written vector-Jacobian product, on jax.custom_vjp."""

from jaxbackprop.ops._activations import hardtanh as hardtanh
from jaxbackprop.ops._activations import max as max
from jaxbackprop.ops._activations import maximum as maximum
from jaxbackprop.ops._activations import sigmoid as sigmoid
from jaxbackprop.ops._activations import tanh as tanh
from jaxbackprop.ops._dropout import dropout as dropout
from jaxbackprop.ops._embedding import embedding as embedding
from jaxbackprop.ops._gates import add as add
from jaxbackprop.ops._gates import copy as copy
from jaxbackprop.ops._gates import multiply as multiply
from jaxbackprop.ops._l2 import l2 as l2
from jaxbackprop.ops._linear import linear as linear
from jaxbackprop.ops._softmax_cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from jaxbackprop.ops._window import window_lookup as window_lookup
