"""Where to look: redrawn arguments, cotangents and other shapes.

A mistake often hides at the arguments one happens to write down: all positive, no index twice, a symmetric
matrix, a batch of one. Redraws keep what a function may rely on (an order, a mask of zeros and ones, rows
that sum to one, the range of the integers) and change all else.
"""

from ._domains import room as room
from ._kept import Kept as Kept
from ._kept import broken as broken
from ._kept import kept as kept
from ._kind import FAR_OUT as FAR_OUT
from ._kind import QUICK_REDRAWS as QUICK_REDRAWS
from ._kind import REDRAWS as REDRAWS
from ._kind import Kind as Kind
from ._points import EXAMPLES as EXAMPLES
from ._points import Sample as Sample
from ._points import Sampled as Sampled
from ._points import cotangents as cotangents
from ._points import free_leaves as free_leaves
from ._points import larger_shapes as larger_shapes
from ._points import redraws as redraws
from ._points import sample as sample
