"""Arguments said rather than given: an array of a dtype, shape and range, or a random key.

The catalogue of operators, the cases of the graph's rules and the benchmarks write them in Python, the
command line as text.
"""

from ._argument import Argument as Argument
from ._argument import Key as Key
from ._argument import Spec as Spec
from ._argument import draw as draw
from ._argument import enlarged as enlarged
from ._argument import leaves as leaves
from ._argument import map_leaves as map_leaves
from ._array import Array as Array
from ._array import Chance as Chance
from ._array import HalfLine as HalfLine
from ._array import Magnitudes as Magnitudes
from ._array import Range as Range
from ._array import integer as integer
from ._array import real as real
from ._text import describe as describe
from ._text import parse_argument as parse_argument
