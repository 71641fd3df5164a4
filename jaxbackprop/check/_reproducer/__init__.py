"""The smallest point at which a mistake shows, and the code that shows it."""
