"""Over a structure: forward in order, backward reversed, what is kept in between, and what it costs."""
