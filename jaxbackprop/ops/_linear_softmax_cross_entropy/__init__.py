"""The last layer of a classifier and its loss in one: cross-entropy of W x + b, whose logits are never whole.

With N tokens and V classes the logits are N V numbers, and autodiff keeps more than one array of that size.
Here a chunk of tokens at a time has its logits, and p - y becomes gradients of x and W before the next chunk:
`_chunk` derives one chunk, `_chunks` runs over all, `_head` is the operator.
"""

from ._head import linear_softmax_cross_entropy as linear_softmax_cross_entropy
from ._head import linear_softmax_cross_entropy_plain as linear_softmax_cross_entropy_plain
