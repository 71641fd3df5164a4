"""Side-by-side measurements against peers; what they need is in the extra `bench`.

Names load on first use: a process that measures one thing imports what that needs.
"""

from typing import TYPE_CHECKING

from jaxbackprop._lazy import attach

if TYPE_CHECKING:
    from ._accuracy_table import Accuracies as Accuracies
    from ._bert_accuracy import bert_accuracy as bert_accuracy
    from ._check import check as check
    from ._command import NAMES as NAMES
    from ._command import run as run
    from ._graph import graph as graph
    from ._measure import Peer as Peer
    from ._measure import side_by_side as side_by_side
    from ._measure import waiting as waiting
    from ._mesh import Scaling as Scaling
    from ._mesh import mesh as mesh
    from ._ner import ner as ner
    from ._report import CannotBench as CannotBench
    from ._resume import Kills as Kills
    from ._resume import resume as resume
    from ._soak import Soak as Soak
    from ._soak import soak as soak
    from ._stream import Streaming as Streaming
    from ._stream import stream as stream
    from ._wild import Verdicts as Verdicts
    from ._wild import wild as wild

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "_accuracy_table": ("Accuracies",),
        "_bert_accuracy": ("bert_accuracy",),
        "_check": ("check",),
        "_command": ("NAMES", "run"),
        "_graph": ("graph",),
        "_measure": ("Peer", "side_by_side", "waiting"),
        "_mesh": ("Scaling", "mesh"),
        "_ner": ("ner",),
        "_report": ("CannotBench",),
        "_resume": ("Kills", "resume"),
        "_soak": ("Soak", "soak"),
        "_stream": ("Streaming", "stream"),
        "_wild": ("Verdicts", "wild"),
    },
)
