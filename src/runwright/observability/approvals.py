"""What the metrics tell of approvals: how long people took, and how that ended."""

from __future__ import annotations

from collections.abc import Iterable

from runwright.domain.approval import CLOSES
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.observability import catalogue as m
from runwright.observability.tallies import Histogram


class ApprovalTallies:
    """Counts what became of approvals; `shown` are its metrics."""

    def __init__(self) -> None:
        self._seconds = Histogram(m.APPROVAL_SECONDS)
        self.shown = (self._seconds,)

    def moved(self, before: Run | None, events: Iterable[Event]) -> None:
        """Count the approval that was closed within one transaction."""
        asked = None if before is None or before.wait is None else before.wait.approval
        for event in events:
            if event.type in CLOSES and asked is not None:
                took = max(event.created_at - asked.requested_at, 0) / 1e6
                self._seconds.observe(took, (event.type.removeprefix("approval."),))
