"""What the code of a run reaches beyond its run."""

from __future__ import annotations

from typing import NamedTuple

from runwright.engine.memory import Memory
from runwright.engine.spawning import Spawner


class Reach(NamedTuple):
    """The runs that it makes, and what its job remembers."""

    spawner: Spawner
    memory: Memory
