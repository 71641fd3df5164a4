"""A graph as an HTML page that needs no other file and steps through both passes."""

from ._health import HealthFinding as HealthFinding
from ._health import HealthReport as HealthReport
from ._notebook import in_notebook as in_notebook
from ._page import page as page
from ._write import to_html as to_html
