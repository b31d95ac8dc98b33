"""The same handler in a server whose fences are torn down: what the checker must see, or it sees nothing."""

from runwright.domain import state
from runwright.engine.attempt import Attempt
from runwright.errors import Error
from tests.faults.labour import app as labourers


def deaf(self: Attempt, refusal: Error) -> None:
    """Hear of a lost lease, and go on."""


state.FENCED = frozenset()
setattr(Attempt, "lose", deaf)  # noqa: B010 - to mypy a method is no variable, and this is no method

app = labourers
