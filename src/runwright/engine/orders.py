"""What a caller asks of one run, before anybody has looked whether it can be."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.retry import Strategy


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks of one run; instants in µs, durations in seconds.

    Its fingerprint names what was asked and leaves out what was not, so that one more field changes no other order's.
    """

    payload: dict[str, Any] = {}
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    idempotency_key: str | None = None
    scheduled_at: int | None = None
    priority: int | None = None
    ttl_secs: float | None = None
    concurrency_key: str | None = None
    debounce_key: str | None = None
    batch_key: str | None = None
    max_attempts_override: int | None = None
    timeout_secs_override: float | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: float | None = None
    retry_max_delay_secs: float | None = None
    parent_run_id: str | None = None
    step: str | None = None
    continuation_of: str | None = None
    lineage_root: str | None = None
    lineage_depth: int = 0
    batch_id: str | None = None
    triggered_by: str = "manual"
    debug_mode: bool = False
    replay_of: str | None = None
    triggered_by_run_id: str | None = None
    chain_depth: int = 0
    replay_version: str | None = None
    from_checkpoint: int | None = None
