"""Any JAX function as a computation graph, forward and backward, by hand-derived local gradients."""

from ._errors import UnsupportedPrimitive as UnsupportedPrimitive
from ._grad import grad as grad
from ._grad import value_and_grad as value_and_grad
from ._graph import ComputationGraph as ComputationGraph
from ._graph import Edge as Edge
from ._graph import Node as Node
from ._graph import Port as Port
from ._graph import Source as Source
from ._handle import Graph as Graph
from ._handle import trace as trace
from ._register import WrongRule as WrongRule
from ._register import register_rule as register_rule
from .passes import Backward as Backward
from .passes import Cost as Cost
from .passes import Flow as Flow
from .passes import Forward as Forward
from .passes import LocalGradient as LocalGradient
from .passes import NodeCost as NodeCost
from .passes import Run as Run
