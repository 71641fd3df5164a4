"""Any JAX function as a computation graph, forward and backward, by hand-derived local gradients."""

from ._cost import Cost as Cost
from ._cost import NodeCost as NodeCost
from ._errors import UnsupportedPrimitive as UnsupportedPrimitive
from ._function import trace as trace
from ._grad import grad as grad
from ._grad import value_and_grad as value_and_grad
from ._graph import Edge as Edge
from ._graph import Graph as Graph
from ._graph import Node as Node
from ._graph import Port as Port
from ._graph import Source as Source
from ._health import health as health
from ._register import WrongRule as WrongRule
from ._register import register_rule as register_rule
from ._run import Backward as Backward
from ._run import Flow as Flow
from ._run import Forward as Forward
from ._run import LocalGradient as LocalGradient
from ._run import Run as Run
