"""Strictness for every test: no silent dtype or rank promotion (warnings are errors in pyproject.toml)."""

import gc
import os

# Eight virtual devices let the sharding tests run on one CPU; it must be set before jax starts.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
# Nothing is written to the home of whoever runs the tests.
os.environ["JAXBACKPROP_NO_COMPILATION_CACHE"] = "1"

import hypothesis
import jax

# Traced programs are many small objects that stay: to look through them all again and again takes minutes.
gc.set_threshold(50_000, 20, 50)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compilation makes the first example of a shape slow, so a deadline says nothing about the code.
hypothesis.settings.register_profile("jaxbackprop", deadline=None, max_examples=20, derandomize=True)
hypothesis.settings.load_profile("jaxbackprop")
