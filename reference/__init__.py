"""The derivations, as on paper: NumPy, float64, each `f` beside its vector-Jacobian product `f_vjp`."""
