"""Names a mistake from the programs: an edit of the rule makes it right, or of autodiff makes it wrong alike."""

from ._mutants import mutations as mutations
