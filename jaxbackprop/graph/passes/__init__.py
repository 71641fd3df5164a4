"""Over a structure: forward in order, backward reversed, what is kept in between, and what it costs."""

from ._cost import Cost as Cost
from ._cost import NodeCost as NodeCost
from ._cost import cost as cost
from ._residual_selection import ResidualSelection as ResidualSelection
from ._run import Backward as Backward
from ._run import Flow as Flow
from ._run import Forward as Forward
from ._run import LocalGradient as LocalGradient
from ._run import Run as Run
from ._run import forward as forward
from ._sweep import pull_back as pull_back
from ._sweep import results_of as results_of
from ._sweep import taken as taken
from ._sweep import walk as walk
