"""The smallest point at which a mistake shows, and the code that shows it."""

from ._smallest import simplified as simplified
from ._snippet import shown_by as shown_by
