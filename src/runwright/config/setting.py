"""What is known of one setting: its name, type, default, range and what it does."""

import math
from dataclasses import dataclass, field
from typing import Any

PREFIX = "RUNWRIGHT_"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """Describe one setting as the reference prints it; `low` and `high` bound numbers, or the length of texts."""

    name: str
    type: Any
    default: Any
    help: str
    low: float
    high: float
    choices: tuple[str, ...]
    pattern: str
    secret: bool

    @property
    def env(self) -> str:
        """Return the name of its environment variable."""
        return PREFIX + self.name.upper()


def setting(
    default: Any,
    help: str,
    low: float = 0,
    high: float = math.inf,
    *,
    choices: tuple[str, ...] = (),
    pattern: str = "",
    secret: bool = False,
    shown: str | None = None,
) -> Any:
    """Describe a field of `Settings`; `default` may be a function, where it depends on the machine."""
    facts = {"help": help, "low": low, "high": high, "choices": choices, "pattern": pattern, "secret": secret}
    if callable(default):  # a default of this machine; the reference prints `shown` instead
        return field(default_factory=default, repr=not secret, metadata={**facts, "default": shown})
    return field(default=default, repr=not secret, metadata={**facts, "default": default})
