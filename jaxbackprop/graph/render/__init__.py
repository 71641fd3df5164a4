"""A structure as text that people look at: SVG, DOT, JSON, HTML."""
