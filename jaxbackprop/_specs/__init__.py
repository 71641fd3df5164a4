"""Arguments that are said rather than given: what is drawn, and the text that says so."""
