"""The dtype in which an operator adds."""

from __future__ import annotations

import numpy as np


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype for sums and products over values of `dtype`: float32 at least, float64 for float64."""
    return np.dtype(np.float64 if np.dtype(dtype).itemsize > 4 else np.float32)
