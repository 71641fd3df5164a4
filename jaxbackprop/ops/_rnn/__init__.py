"""A recurrent layer and the lecture's bare loop: backpropagation through time.

Only what one step needs from the next is done step by step: the states forwards, the error signals backwards.
The inputs' products, and all gradients of the weights, are one product each over all steps at once; where
states are recomputed, over all steps between two of those that are kept.
"""

from ._bare import bare_rnn as bare_rnn
from ._bare import bare_rnn_plain as bare_rnn_plain
from ._layer import rnn as rnn
from ._layer import rnn_plain as rnn_plain
