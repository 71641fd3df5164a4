"""Hand-derived gradients that you can trust, and train with, on JAX."""

__version__ = "0.1.0"
