"""The correctness harness: what a gradient is, on anyone's function. It knows no operator."""

from jaxbackprop.check._truth import Estimate as Estimate
from jaxbackprop.check._truth import Point as Point
from jaxbackprop.check._truth import Program as Program
from jaxbackprop.check._truth import distance_to_hull as distance_to_hull
from jaxbackprop.check._truth import extrapolated_differences as extrapolated_differences
from jaxbackprop.check._truth import float64_on_cpu as float64_on_cpu
from jaxbackprop.check._truth import generalised_gradients as generalised_gradients
from jaxbackprop.check._truth import noise_floor as noise_floor
from jaxbackprop.check._truth import rounding_noise as rounding_noise
