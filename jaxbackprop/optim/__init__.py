"""What optax does not have: schedules that go up and down in cycles, and updates of touched rows alone."""

from . import rows as rows
from ._cyclic import cyclic_schedule as cyclic_schedule
from ._row_gradient import RowGradient as RowGradient
from ._value_and_grad import gathered_table as gathered_table
from ._value_and_grad import value_and_row_grad as value_and_row_grad
