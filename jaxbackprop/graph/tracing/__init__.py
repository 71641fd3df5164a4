"""From a jaxpr to the frozen structure: nodes, their names and sources, and what each can compute."""

from ._names import argument_names as argument_names
from ._names import positional_names as positional_names
from ._program import build as build
from ._trace import trace as trace
from .operations import CondOperation as CondOperation
from .operations import CustomJvpOperation as CustomJvpOperation
from .operations import CustomVjpOperation as CustomVjpOperation
from .operations import PrimitiveOperation as PrimitiveOperation
from .operations import RematOperation as RematOperation
from .operations import ScanOperation as ScanOperation
from .operations import WhileOperation as WhileOperation
