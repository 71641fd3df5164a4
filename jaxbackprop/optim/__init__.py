"""What optax does not have: schedules that go up and down in cycles."""

from ._cyclic import cyclic_schedule as cyclic_schedule
