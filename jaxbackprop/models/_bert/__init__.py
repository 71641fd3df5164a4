"""BERT: the encoder and what is put on it."""

from ._encoder import Bert as Bert
from ._heads import BertClassifier as BertClassifier
from ._heads import BertTagger as BertTagger
from ._load import load_bert as load_bert
from ._scores import class_logits as class_logits
from ._scores import word_logits as word_logits
