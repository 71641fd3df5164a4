"""Entrywise non-linearities and the two maxima."""

from ._maxima import max as max
from ._maxima import maximum as maximum
from ._rectifiers import elu as elu
from ._rectifiers import leaky_relu as leaky_relu
from ._rectifiers import prelu as prelu
from ._rectifiers import relu as relu
from ._smooth import gelu as gelu
from ._smooth import silu as silu
from ._smooth import softplus as softplus
from ._squashing import hardtanh as hardtanh
from ._squashing import sigmoid as sigmoid
from ._squashing import tanh as tanh
