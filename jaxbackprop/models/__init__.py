"""Models built from :mod:`jaxbackprop.layers` and :mod:`jaxbackprop.ops`."""

from jaxbackprop.pretrained import BertConfig as BertConfig

from ._bert import Bert as Bert
from ._bert import BertClassifier as BertClassifier
from ._bert import BertTagger as BertTagger
from ._bert import class_logits as class_logits
from ._bert import load_bert as load_bert
from ._bert import word_logits as word_logits
from ._decode import greedy as greedy
from ._decode import transitions as transitions
from ._decode import viterbi as viterbi
from ._language_model import LanguageModel as LanguageModel
from ._language_model import language_model_loss as language_model_loss
from ._language_model import next_word_log_probabilities as next_word_log_probabilities
from ._tag import decode_logits as decode_logits
from ._tag import tag_ids as tag_ids
from ._window_ner import MASK as MASK
from ._window_ner import WindowNER as WindowNER
from ._window_ner import window_ner_loss as window_ner_loss
