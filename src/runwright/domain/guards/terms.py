"""What the guards are told, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from runwright.domain.globs import Scope
from runwright.domain.policy_terms import TamperGuards

Guard = Literal[
    "test_deleted", "test_skipped", "assertions_removed", "threshold_lowered", "suppression_added", "gate_edited",
    "policy_edited", "path_out_of_scope", "too_many_files", "diff_too_large", "binary_change",
]  # fmt: skip
Held = Mapping[str, str | bytes]
"""What files hold, by their paths: those that a patch touches, and any others."""


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why a guard refuses a patch: in which file, on which line of it if that is known, and what it saw."""

    guard: Guard
    message: str
    path: str = ""
    line: int = 0


class _Gate(Protocol):
    @property
    def command(self) -> tuple[str, ...]: ...


class Guarded(Protocol):
    """What guards ask of a policy, or of what holds in its place."""

    @property
    def scope(self) -> Scope:
        """Return what may be changed."""
        ...

    @property
    def tamper_guards(self) -> TamperGuards:
        """Return what is guarded."""
        ...

    @property
    def quality_gates(self) -> Sequence[_Gate]:
        """Return the commands that must be green."""
        ...


class Edited(msgspec.Struct, frozen=True):
    """A file of text that changes; None where there is none before, or afterwards."""

    path: str
    before: str | None
    after: str | None

    @property
    def name(self) -> str:
        """Return its name without the directories, in small letters."""
        return self.path.rpartition("/")[2].lower()


def text_of(held: str | bytes) -> str | None:
    """Return what a file says; None of one that is no text."""
    if isinstance(held, str):
        return None if "\0" in held else held
    try:
        return None if b"\0" in held else held.decode()
    except UnicodeDecodeError:
        return None
