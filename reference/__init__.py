"""The derivations, as on paper: NumPy, float64, every function `f` beside its vector-Jacobian product `f_vjp`."""
