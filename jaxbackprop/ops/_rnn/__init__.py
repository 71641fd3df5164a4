"""A recurrent layer and the lecture's bare loop: backpropagation through time.

Only what one step needs from the next is done step by step: the states forwards, the error signals backwards.
The inputs' products, and all gradients of the weights, are one product each over all steps at once; where
states are recomputed, over all steps between two of those that are kept. `_step` derives one step.
"""

from ._bare_rnn import bare_rnn as bare_rnn
from ._bare_rnn import bare_rnn_plain as bare_rnn_plain
from ._rnn import rnn as rnn
from ._rnn import rnn_plain as rnn_plain
