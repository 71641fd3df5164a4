"""Names a mistake from the numbers: rule and right gradient are black boxes that can be asked anywhere."""

from ._detectors import DETECTORS as DETECTORS
from ._detectors import Detector as Detector
from ._search import suspicions as suspicions
