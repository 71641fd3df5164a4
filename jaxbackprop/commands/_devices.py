"""That jax has the device that it is told to use."""

from __future__ import annotations

import os

from jaxbackprop._errors import CannotRun, first_line


def refuse_missing_device() -> None:
    """Looks whether jax has the device that it is told to use.

    Raises:
        CannotRun: it has not. Its own error need not say so, and comes where something else is blamed.
    """
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms and platforms != "cpu":
        import jax

        try:
            jax.devices()
        except Exception as error:
            reason = f": {first_line(error)}" if str(error) else ""
            raise CannotRun(f"JAX_PLATFORMS={platforms}, but jax finds no such device{reason}") from None
