"""Values to the last digit of float64, from decimal arithmetic with many more digits: an opinion on tails."""

import decimal
from collections.abc import Callable
from decimal import Decimal

import numpy as np

# Enough for 1 - Φ(x) at x = 38, which begins at the 315th digit.
DIGITS = 400


def exact(f: Callable[[Decimal], Decimal], x: np.ndarray) -> np.ndarray:
    """The function of each entry, rounded once at the end."""
    with decimal.localcontext(prec=DIGITS, Emin=-(10**6), Emax=10**6):
        return np.array([float(f(Decimal(float(v)))) for v in x])


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def normal_density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * pi()).sqrt()


def normal_distribution(x: Decimal) -> Decimal:
    """Φ(x) = 1/2 + φ(x) (x + x³/3 + x⁵/(3·5) + …)."""
    term, total, n = x, x, 1
    while abs(term) > Decimal(10) ** -DIGITS * abs(total):
        n += 2
        term *= x * x / n
        total += term
    return Decimal("0.5") + normal_density(x) * total


def pi() -> Decimal:
    """Machin's π/4 = 4 arctan(1/5) - arctan(1/239)."""
    return 4 * (4 * _arctan_of_inverse(5) - _arctan_of_inverse(239))


def _arctan_of_inverse(n: int) -> Decimal:
    power, total, k = 1 / Decimal(n), 1 / Decimal(n), 1
    while abs(power) > Decimal(10) ** -DIGITS:
        power /= -n * n
        k += 2
        total += power / k
    return total
