"""What commands name: functions as "package.module:name", modules of them, and what they are called with."""

from ._calls import Call as Call
from ._calls import as_jax as as_jax
from ._calls import draw as draw
from ._calls import read_call as read_call
from ._discovery import discover as discover
from ._members import Skipped as Skipped
from ._target import Target as Target
from ._target import resolve as resolve
from ._target import resolve_function as resolve_function
from ._target import ruled as ruled
