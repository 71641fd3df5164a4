"""Entrywise nonlinearities and max gates (lecture, unit 2 "Backpropagation"; unit 3 "Activation Function").

An entrywise y_i = f(x_i) has a diagonal Jacobian: ∂y_i/∂x_j = f'(x_i) where i = j, else 0. So the chain rule
is a product entry by entry, dx = f'(x) ∘ dy, and each function of `squashing`, `rectifiers` and `smooth`
derives f' for one number. `maxima` routes instead.

At a kink f' does not exist. The slopes of both sides, and every number between them, are generalised
gradients (Clarke's: the convex hull of the limits of f' nearby); each function says which it takes.
"""

from reference.activations.maxima import max as max
from reference.activations.maxima import max_vjp as max_vjp
from reference.activations.maxima import maximum as maximum
from reference.activations.maxima import maximum_vjp as maximum_vjp
from reference.activations.rectifiers import elu as elu
from reference.activations.rectifiers import elu_vjp as elu_vjp
from reference.activations.rectifiers import leaky_relu as leaky_relu
from reference.activations.rectifiers import leaky_relu_vjp as leaky_relu_vjp
from reference.activations.rectifiers import prelu as prelu
from reference.activations.rectifiers import prelu_vjp as prelu_vjp
from reference.activations.rectifiers import relu as relu
from reference.activations.rectifiers import relu_vjp as relu_vjp
from reference.activations.smooth import gelu as gelu
from reference.activations.smooth import gelu_vjp as gelu_vjp
from reference.activations.smooth import silu as silu
from reference.activations.smooth import silu_vjp as silu_vjp
from reference.activations.smooth import softplus as softplus
from reference.activations.smooth import softplus_vjp as softplus_vjp
from reference.activations.squashing import hardtanh as hardtanh
from reference.activations.squashing import hardtanh_vjp as hardtanh_vjp
from reference.activations.squashing import sigmoid as sigmoid
from reference.activations.squashing import sigmoid_vjp as sigmoid_vjp
from reference.activations.squashing import tanh as tanh
from reference.activations.squashing import tanh_by_sigmoid as tanh_by_sigmoid
from reference.activations.squashing import tanh_vjp as tanh_vjp
