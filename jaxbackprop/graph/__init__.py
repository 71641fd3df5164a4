"""Any JAX function as a computation graph, forward and backward, by hand-derived local gradients."""

from ._errors import UnsupportedPrimitive as UnsupportedPrimitive
from ._grad import grad as grad
from ._grad import value_and_grad as value_and_grad
from ._graph import Edge as Edge
from ._graph import Graph as Graph
from ._graph import Node as Node
from ._graph import Port as Port
from ._graph import Source as Source
from ._register import WrongRule as WrongRule
from ._register import register_rule as register_rule
from .passes._cost import Cost as Cost
from .passes._cost import NodeCost as NodeCost
from .passes._run import Backward as Backward
from .passes._run import Flow as Flow
from .passes._run import Forward as Forward
from .passes._run import LocalGradient as LocalGradient
from .passes._run import Run as Run
from .tracing._function import trace as trace
