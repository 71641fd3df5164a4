"""A graph as text: SVG, DOT, JSON, HTML; and the short texts of its nodes and values."""

from ._dot import to_dot as to_dot
from ._edge_values import Passes as Passes
from ._json import to_json as to_json
from ._node_text import symbol as symbol
from ._svg import to_svg as to_svg
from ._text import error_text as error_text
from ._value_text import number_text as number_text
from ._value_text import numbers_text as numbers_text
from ._value_text import shape_text as shape_text
from .html import HealthFinding as HealthFinding
from .html import HealthReport as HealthReport
from .html import in_notebook as in_notebook
from .html import page as page
from .html import to_html as to_html
