"""Models built from :mod:`jaxbackprop.layers` and :mod:`jaxbackprop.ops`."""

from ._decode import greedy as greedy
from ._decode import transitions as transitions
from ._decode import viterbi as viterbi
from ._tag import tag_ids as tag_ids
from ._window_ner import WindowNER as WindowNER
from ._window_ner import window_ner_loss as window_ner_loss
