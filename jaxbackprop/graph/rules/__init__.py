"""The hand-derived local gradient of each of JAX's primitives, one short function each."""

from . import _arithmetic as _arithmetic
from . import _convolution as _convolution
from . import _cumulative as _cumulative
from . import _elementary as _elementary
from . import _fourier as _fourier
from . import _indexing as _indexing
from . import _linear_algebra as _linear_algebra
from . import _moves as _moves
from . import _products as _products
from . import _reductions as _reductions
from . import _sorting as _sorting
from . import _windows as _windows
from ._rule import BLOCKED as BLOCKED
from ._rule import RULES as RULES
from ._rule import Local as Local
from ._rule import Rule as Rule
from ._rule import operand_names as operand_names
from ._rule import result_names as result_names
