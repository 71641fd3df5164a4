"""What nodes can do, one kind of operation a file: to compute their results, and to take a gradient back."""

from ._checkpoint import RematOperation as RematOperation
from ._cond import CondOperation as CondOperation
from ._custom_jvp import CustomJvpOperation as CustomJvpOperation
from ._custom_vjp import CustomVjpOperation as CustomVjpOperation
from ._describe import describe as describe
from ._described import Build as Build
from ._described import Described as Described
from ._primitive import PrimitiveOperation as PrimitiveOperation
from ._scan import ScanOperation as ScanOperation
from ._while import WhileOperation as WhileOperation
