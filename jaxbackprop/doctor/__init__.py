"""The health of a model's gradient: where it vanishes, explodes, dies or turns nan."""

from ._findings import Finding as Finding
from ._health import examine as examine
from ._health import health as health
from ._node_health import NodeHealth as NodeHealth
from ._recurrence import Recurrence as Recurrence
from ._report import Diagnosis as Diagnosis
from ._report import Report as Report
from ._thresholds import THRESHOLDS as THRESHOLDS
from ._thresholds import Threshold as Threshold
