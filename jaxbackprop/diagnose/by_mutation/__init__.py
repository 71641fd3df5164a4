"""Names a mistake from the programs: an edit of the rule rights it, or one of autodiff wrongs it alike."""

from ._mutants import mutations as mutations
