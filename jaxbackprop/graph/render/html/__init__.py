"""A graph as a page: one file that needs nothing beside it, and steps through both passes."""

from ._file import to_html as to_html
from ._notebook import in_notebook as in_notebook
from ._page import page as page
