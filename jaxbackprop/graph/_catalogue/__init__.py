"""Every rule of the graph, in the ways its primitive is used; verification and tests read it."""

from __future__ import annotations

from ._row import Row as Row
