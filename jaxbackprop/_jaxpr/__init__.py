"""The one reader of jaxprs: what an equation holds, what differs between releases, a walk over all.

The shape of a jaxpr is no promise of JAX. What the rest of the package must know of it stands here.
"""

from ._custom import JvpRule as JvpRule
from ._custom import VjpRule as VjpRule
from ._custom import jvp_rule as jvp_rule
from ._custom import vjp_rule as vjp_rule
from ._parts import CheckpointParts as CheckpointParts
from ._parts import ScanParts as ScanParts
from ._parts import WhileParts as WhileParts
from ._parts import branches as branches
from ._parts import checkpoint_parts as checkpoint_parts
from ._parts import scan_parts as scan_parts
from ._parts import shard_mapped as shard_mapped
from ._parts import while_parts as while_parts
from ._program import CALLS as CALLS
from ._program import CHECKPOINTED as CHECKPOINTED
from ._program import CUSTOM as CUSTOM
from ._program import JITTED as JITTED
from ._program import Atom as Atom
from ._program import Equation as Equation
from ._program import Handler as Handler
from ._program import Literal as Literal
from ._program import Program as Program
from ._program import all_equations as all_equations
from ._program import binder as binder
from ._program import bodies as bodies
from ._program import call_body as call_body
from ._program import call_name as call_name
from ._program import evaluate as evaluate
from ._program import function_file as function_file
from ._program import function_name as function_name
from ._program import interpret as interpret
from ._program import is_array_leaf as is_array_leaf
from ._program import is_jaxpr as is_jaxpr
from ._program import is_literal as is_literal
from ._program import literal as literal
from ._program import live as live
from ._program import main_body as main_body
from ._program import opened as opened
from ._program import operation_name as operation_name
from ._program import read as read
from ._program import spec as spec
