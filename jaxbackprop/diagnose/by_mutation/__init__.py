"""Names a mistake from the programs.

An edit of the rule makes it right, or the same edit makes autodiff wrong in the same way. All edits stand in
the table of `_search`; what each contributes is measured by `python -m tests.diagnose.ablation`.
"""

from ._search import ranked as ranked
from ._search import search as search
