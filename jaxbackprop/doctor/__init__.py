"""The doctor: where does the gradient of a model vanish, explode, die or turn nan."""

from ._examine import examine as examine
from ._examine import health as health
from ._findings import Finding as Finding
from ._measures import NodeHealth as NodeHealth
from ._report import Diagnosis as Diagnosis
from ._report import Report as Report
from ._sequences import Recurrence as Recurrence
from ._thresholds import THRESHOLDS as THRESHOLDS
from ._thresholds import Threshold as Threshold
