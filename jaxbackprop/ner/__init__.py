"""Taggers, of windows or a BERT, at work: corpus -> model -> run folder, and back to tags for new text."""

from jaxbackprop.train import Reporting as Reporting

from ._bert import bert_tagger_loss as bert_tagger_loss
from ._bert import trainable_parts as trainable_parts
from ._build import as_batch as as_batch
from ._build import build_model as build_model
from ._build import make_updates as make_updates
from ._build import tag_sentences as tag_sentences
from ._build import trainable as trainable
from ._errors import TaggingError as TaggingError
from ._evaluation import Evaluation as Evaluation
from ._evaluation import evaluate as evaluate
from ._in_memory import InMemoryRun as InMemoryRun
from ._in_memory import compiled_settings as compiled_settings
from ._in_memory import train_in_memory as train_in_memory
from ._lr_find import find_learning_rates as find_learning_rates
from ._pieces import PieceEncoder as PieceEncoder
from ._resume import resume as resume
from ._seeds import train_seeds as train_seeds
from ._tagger import Tagger as Tagger
from ._tagger import load_tagger as load_tagger
from ._text import marked as marked
from ._text import split_at_spaces as split_at_spaces
from ._text import tokenize as tokenize
from ._train import train as train
