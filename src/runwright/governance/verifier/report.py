"""What a verification found: each object that is not as it was, who signed, and what that comes to."""

from __future__ import annotations

from typing import Any, NamedTuple

MANIFEST, ENVELOPE = "manifest.json", "attestations/run.dsse.json"
TIMELINE, CHAIN, AUDIT = "timeline.ndjson", "chain.json", "audit.ndjson"
WHOLE, BROKEN, USAGE, NOT_PINNED = 0, 1, 2, 3
PROBLEMS_MAX = 100


class Problem(NamedTuple):
    """One object that is not as it was, and what was done to it."""

    object: str
    what: str
    detail: str = ""


class Report:
    """What was found. `pinned` is None where no key was named."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.manifest: dict[str, Any] = {}
        self.signer: str | None = None
        self.pinned: bool | None = None

    def tell(self, name: str, what: str, detail: str = "") -> None:
        """Note a problem; what is known of an object already is not said again."""
        if len(self.problems) < PROBLEMS_MAX and not any(each.object == name for each in self.problems):
            self.problems.append(Problem(name, what, detail))

    @property
    def code(self) -> int:
        """Return the exit code."""
        if self.problems or self.pinned is False:
            return BROKEN
        return WHOLE if self.pinned else NOT_PINNED


class NotABundle(ValueError):
    """There is nothing to verify."""
