"""What the API answers about remediation loops."""

from typing import Any

import msgspec

from runwright.client.delivery_models import DeliveryError
from runwright.client.models import Record


class StartedLoop(Record, kw_only=True):
    """The loop that was made; its id is that of its run."""

    loop_id: str
    run_id: str = ""
    state: str = ""


class LoopDelivery(msgspec.Struct, kw_only=True):
    """How the delivery stands that the order of a loop asks for; `delivery_run_id` is the run that delivers."""

    state: str = ""
    when: str = "clean"
    actions: list[str] = msgspec.field(default_factory=list)
    delivery_run_id: str | None = None
    commit_sha: str | None = None
    branch: str | None = None
    pr: dict[str, Any] | None = None
    checkpoint_id: str | None = None
    error: DeliveryError | None = None


class OmarLoop(Record, kw_only=True):
    """Where a loop stands: what it tried, what it keeps, and why it ended."""

    loop_id: str
    run_id: str = ""
    state: str = ""
    run_state: str = ""
    iteration: int = 0
    max_iterations: int | None = None
    max_no_progress: int | None = None
    without_progress: int = 0
    exit_reason: str | None = None
    exit_detail: dict[str, Any] | None = None
    gate_status: str = "unknown"
    gates: list[dict[str, Any]] = msgspec.field(default_factory=list)
    findings: dict[str, Any] = msgspec.field(default_factory=dict)
    coverage: dict[str, str] = msgspec.field(default_factory=dict)
    iterations: list[dict[str, Any]] = msgspec.field(default_factory=list)
    budget: dict[str, Any] = msgspec.field(default_factory=dict)
    usage_unverified: int = 0
    pending_approvals: list[str] = msgspec.field(default_factory=list)
    repo: str | None = None
    ref: str | None = None
    head_sha: str | None = None
    tree_sha: str | None = None
    delivery: LoopDelivery | None = None
    next_action: str | None = None
    links: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Tell whether it goes on no more."""
        return self.run_state in ("completed", "failed", "cancelled", "expired")

    @property
    def settled(self) -> bool:
        """Tell whether it has ended, and its delivery, if it asks for one, has ended or waits for people."""
        return self.ended and (self.delivery is None or self.delivery.state not in ("pending", "under_way"))
