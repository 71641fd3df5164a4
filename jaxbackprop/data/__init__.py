"""Tagged text, word vectors and the arrays made of them. Imports NumPy and the standard library alone."""

from ._batches import batch_indices as batch_indices
from ._corpus import Corpus as Corpus
from ._corpus import default_corpus as default_corpus
from ._corpus import read_corpus as read_corpus
from ._encoder import UNKNOWN as UNKNOWN
from ._encoder import Encoder as Encoder
from ._errors import DataError as DataError
from ._errors import MissingExtra as MissingExtra
from ._sentence import Sentence as Sentence
from ._survey import FileSurvey as FileSurvey
from ._survey import Survey as Survey
from ._survey import survey as survey
from ._tagged import read_conll as read_conll
from ._tags import detect_scheme as detect_scheme
from ._tags import tag_set as tag_set
from ._tags import to_bio as to_bio
from ._unseen import compare_tags as compare_tags
from ._vectors import WordVectors as WordVectors
from ._vectors import load_vectors as load_vectors
from ._windows import PADDING as PADDING
from ._windows import Windows as Windows
from ._word_features import SHAPES as SHAPES
from ._word_features import shape as shape
from ._word_features import word_forms as word_forms
