"""The shapes that the public documents show: a value of the JSON type that each field has where it is set."""

from typing import Any

INSTANT = "2019-08-24T14:15:22Z"

JOB_RUN: dict[str, Any] = {
    "id": "string",
    "job_id": "string",
    "project_id": "string",
    "status": "delayed",
    "attempt": 0,
    "payload": {},
    "result": {},
    "metadata": {"property1": "string", "property2": "string"},
    "error": "string",
    "triggered_by": "string",
    "scheduled_at": INSTANT,
    "started_at": INSTANT,
    "finished_at": INSTANT,
    "heartbeat_at": INSTANT,
    "next_retry_at": INSTANT,
    "expires_at": INSTANT,
    "parent_run_id": "string",
    "priority": 0,
    "idempotency_key": "string",
    "job_version": 0,
    "workflow_step_run_id": "string",
    "max_attempts_override": 0,
    "timeout_secs_override": 0,
    "retry_backoff": "string",
    "retry_initial_delay_secs": 0,
    "retry_max_delay_secs": 0,
    "execution_trace": {
        "queue_wait_ms": 0,
        "dequeue_ms": 0,
        "connect_ms": 0,
        "ttfb_ms": 0,
        "transfer_ms": 0,
        "total_ms": 0,
        "dispatch_ms": 0,
    },
    "debug_mode": True,
    "continuation_of": "string",
    "lineage_depth": 0,
    "tags": {"property1": "string", "property2": "string"},
    "job_version_id": "string",
    "created_by": "string",
    "batch_id": "string",
    "concurrency_key": "string",
    "created_at": INSTANT,
}

LISTED_RUN: dict[str, Any] = {
    "run_id": "string",
    "org_id": "string",
    "thread_id": "string",
    "status": "completed",
    "model": "string",
    "persona_id": "string",
    "total_input_tokens": 1000,
    "total_output_tokens": 500,
    "total_cost_usd": 0.005,
    "duration_ms": 3200,
    "cache_hit_rate": 0.4,
    "credits_used": 5,
    "created_at": INSTANT,
    "completed_at": INSTANT,
    "failed_at": INSTANT,
    "created_by_user_id": "string",
    "created_by_user_name": "alice",
    "created_by_email": "alice@example.com",
    "trace_id": "string",
}

OURS: dict[str, Any] = {
    "kind": "job",
    "state": "completed",
    "reason": "string",
    "trace_id": "string",
    "lease_epoch": 0,
    "attempts_url": "string",
    "last_seq": 0,
    "replay_of": "string",
    "replayed_as": "string",
    "retry_of": "string",
    "dead_lettered_at": INSTANT,
    "dead_letter_left_at": INSTANT,
    "cancel_requested_at": INSTANT,
    "error_class": "string",
    "queued_ms": 0,
    "active_ms": 0,
    "waiting_ms": 0,
    "workflow_id": "string",
    "workflow_version": 0,
    "workflow_version_id": "string",
}

EVENT: dict[str, Any] = {
    "id": "string",
    "run_id": "string",
    "type": "string",
    "level": "string",
    "message": "string",
    "data": {},
    "created_at": INSTANT,
}

CHECKPOINT: dict[str, Any] = {
    "id": "string",
    "run_id": "string",
    "sequence": 0,
    "source": "string",
    "state": {},
    "created_at": INSTANT,
}

OUTPUT: dict[str, Any] = {
    "id": "string",
    "run_id": "string",
    "output_key": "string",
    "schema": {},
    "value": {},
    "created_at": INSTANT,
}

NOT_YET = {"thread_id", "model", "persona_id", "cache_hit_rate", "retry_of"}
"""Fields of kinds of runs that do not exist yet: there, and null."""
