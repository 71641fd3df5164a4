"""Names the mistake that a wrong gradient looks like, from its numbers and from edited programs."""

from ._diagnose import diagnose as diagnose
from ._evidence import Evidence as Evidence
from ._evidence import Sample as Sample
from ._evidence import Suspicion as Suspicion
from .mistakes import Mistake as Mistake
