"""Entrywise nonlinearities and max gates (lecture, unit 2 "sigmoid", "max"; unit 3 "Activation Function").

An entrywise y_i = f(x_i) has a diagonal Jacobian: ∂y_i/∂x_j = f'(x_i) where i = j, else 0. So the chain rule
is a product entry by entry, dx = f'(x) ∘ dy, and each function of `squashing`, `rectifiers` and `smooth`
derives f' for one number. `maxima` routes instead.

At a kink f' does not exist. The slopes of both sides, and every number between them, are generalised
gradients (Clarke's: the convex hull of the limits of f' nearby); each function says which it takes.
"""

from .maxima import max as max
from .maxima import max_vjp as max_vjp
from .maxima import maximum as maximum
from .maxima import maximum_vjp as maximum_vjp
from .rectifiers import elu as elu
from .rectifiers import elu_vjp as elu_vjp
from .rectifiers import leaky_relu as leaky_relu
from .rectifiers import leaky_relu_vjp as leaky_relu_vjp
from .rectifiers import prelu as prelu
from .rectifiers import prelu_vjp as prelu_vjp
from .rectifiers import relu as relu
from .rectifiers import relu_vjp as relu_vjp
from .smooth import gelu as gelu
from .smooth import gelu_vjp as gelu_vjp
from .smooth import silu as silu
from .smooth import silu_vjp as silu_vjp
from .smooth import softplus as softplus
from .smooth import softplus_vjp as softplus_vjp
from .squashing import hardtanh as hardtanh
from .squashing import hardtanh_vjp as hardtanh_vjp
from .squashing import sigmoid as sigmoid
from .squashing import sigmoid_vjp as sigmoid_vjp
from .squashing import tanh as tanh
from .squashing import tanh_vjp as tanh_vjp
