"""Strictness for every test: no silent dtype or rank promotion (warnings are errors in pyproject.toml)."""

import gc
import os
import subprocess
import sys


def flags() -> str:
    """What XLA is told: eight virtual devices, and to compile in a third of the time.

    The devices let the sharding tests run on one CPU. Nearly all of the suite's time is compiling programs
    that run once. jaxlib ends the process at a flag that it does not know, so another process tries each.
    """
    found = "--xla_force_host_platform_device_count=8"
    for flag in ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"):
        told = f"{found} {flag}"
        attempt = [sys.executable, "-c", "import jax; jax.devices()"]
        if subprocess.run(attempt, env=os.environ | {"XLA_FLAGS": told}, capture_output=True).returncode == 0:
            found = told
    return found


# Before jax starts; the workers of pytest-xdist inherit it. Flags of one's own stay as they are.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS") or flags()
# Nothing is written to the home of whoever runs the tests.
os.environ["JAXBACKPROP_NO_COMPILATION_CACHE"] = "1"

import hypothesis  # noqa: E402
import jax  # noqa: E402

# Traced programs are many small objects that stay: to look through them all again and again takes minutes.
gc.set_threshold(50_000, 20, 50)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compilation makes the first example of a shape slow, so a deadline says nothing about the code.
hypothesis.settings.register_profile("jaxbackprop", deadline=None, max_examples=20, derandomize=True)
hypothesis.settings.load_profile("jaxbackprop")
