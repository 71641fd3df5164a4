"""Side-by-side measurements against peers; what they need is in the extra `bench`."""

from ._check import check as check
from ._graph import graph as graph
from ._ner import ner as ner
