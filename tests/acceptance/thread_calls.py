"""What the public documents of threads and runs show: requests and answers as they stand there, and our statuses."""

from typing import Any, NamedTuple

from tests.acceptance.examples import example
from tests.acceptance.seed_shapes import INSTANT


class Shown(NamedTuple):
    """A request as a document shows it, on what it is tried, the status that we answer, and the answer that it shows.

    `about` names what stands for the id in braces; a stream shows no JSON.
    """

    request: str
    about: str
    status: int
    answer: str = ""
    body: dict[str, Any] | None = None

    @property
    def example(self) -> Any:
        """Return the answer that is shown, with a value of its type for each null."""
        shown = example(self.answer)
        for row in shown if isinstance(shown, list) else [shown]:
            row.update({name: NULL_THERE[name] for name, value in row.items() if value is None})
        return shown


NULL_THERE = {"persona_id": "string", "failed_at": INSTANT}
"""What the examples show as null: of which type it is where it is set."""

CREATED = """{
"run_id": "...",
"trace_id": "..."
}"""
OK = '{ "ok": true }'

CALLS = (
    Shown("POST /v1/threads/{thread_id}/runs", "quiet thread", 201, CREATED),
    Shown(
        "GET /v1/threads/{thread_id}/runs",
        "thread",
        200,
        """[
{
"run_id": "...",
"status": "completed",
"created_at": "2024-01-01T00:00:00Z"
}
]""",
    ),
    Shown(
        "GET /v1/runs",
        "nothing",
        200,
        """[
{
"run_id": "...",
"org_id": "...",
"thread_id": "...",
"status": "completed",
"model": "claude-3-5-sonnet",
"persona_id": null,
"total_input_tokens": 1000,
"total_output_tokens": 500,
"total_cost_usd": 0.005,
"duration_ms": 3200,
"cache_hit_rate": 0.4,
"credits_used": 5,
"created_at": "2024-01-01T00:00:00Z",
"completed_at": "2024-01-01T00:00:03Z",
"failed_at": null,
"created_by_user_id": "...",
"created_by_user_name": "alice",
"created_by_email": "alice@example.com"
}
]""",
    ),
    Shown(
        "GET /v1/runs/{run_id}",
        "run",
        200,
        """{
"run_id": "...",
"org_id": "...",
"thread_id": "...",
"created_by_user_id": "...",
"status": "completed",
"created_at": "2024-01-01T00:00:00Z",
"trace_id": "..."
}""",
    ),
    Shown("POST /v1/runs/{run_id}:cancel", "speaking run", 200, OK),
    Shown("POST /v1/runs/{run_id}/input", "asking run", 200, OK, {"content": "yes"}),
    Shown("GET /v1/runs/{run_id}/events", "run", 200),
    Shown("POST /v1/threads/{thread_id}:retry", "another thread", 201, CREATED),
)

SHOWN_EVENTS = (
    'data: {"seq":1,"type":"run.started","data":{...},"created_at":"..."}',
    'data: {"seq":2,"type":"message.delta","data":{"content":"..."}}',
    'data: {"seq":99,"type":"run.completed","data":{}}',
)
PRIMARY = (
    "run.started",
    "message.delta",
    "tool.call",
    "tool.result",
    "run.waiting_for_input",
    "run.completed",
    "run.failed",
    "run.cancelled",
)
"""The types of events that the documents name."""
