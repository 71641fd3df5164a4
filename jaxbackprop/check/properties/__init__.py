"""What must hold of a right rule: a small function each."""
