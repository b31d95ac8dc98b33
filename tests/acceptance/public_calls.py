"""The calls that the public document of the jobs API shows, as they stand there, and the status that we answer."""

from typing import Any, NamedTuple

from tests.acceptance.seed_shapes import CHECKPOINT, EVENT, INSTANT, JOB_RUN, OUTPUT

USAGE: dict[str, Any] = {
    "id": "string",
    "run_id": "string",
    "provider": "string",
    "model": "string",
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
    "cost_microusd": 0,
    "created_at": INSTANT,
}
TOOL_CALL: dict[str, Any] = {
    "id": "string",
    "run_id": "string",
    "tool_name": "string",
    "input": {},
    "output": {},
    "duration_ms": 0,
    "status": "string",
    "created_at": INSTANT,
}
CANCELLED: dict[str, Any] = {
    "results": [{"id": "string", "status": "string", "error": "string"}],
    "total": 0,
    "canceled": 0,
    "failed": 0,
}
REPLAYED: dict[str, Any] = {"replayed": [JOB_RUN], "count": 0}
PROBLEM: dict[str, Any] = {"error": "string", "request_id": "string"}
BUNDLE: dict[str, Any] = {
    "run": JOB_RUN,
    "events": [EVENT],
    "checkpoints": [CHECKPOINT],
    "usage": [USAGE],
    "tool_calls": [TOOL_CALL],
    "outputs": [OUTPUT],
}
DEPENDENCIES: dict[str, Any] = {
    "run_id": "string",
    "job_id": "string",
    "status": "delayed",
    "dependencies": [
        {
            "id": "string",
            "job_id": "string",
            "depends_on_job_id": "string",
            "condition": "string",
            "created_at": INSTANT,
        }
    ],
    "dependencies_satisfied": True,
}
FREED: dict[str, Any] = {"status": "string", "run_id": "string"}

JSON_BODY = '-H "Content-Type: application/json"'
HERE = "http://localhost:8080/v1/runs"


class Shown(NamedTuple):
    """A call as the document shows it: on what it is tried, the status we answer, and the example, if there is one.

    `about` names what stands for `string` in the call; a stream is text.
    """

    curl: str
    about: str
    status: int
    example: Any = None
    stream: bool = False


CALLS = (
    Shown(f'curl -X GET "{HERE}?project_id=string"', "project", 200, [JOB_RUN]),
    Shown(f'curl -X GET "{HERE}/dlq?project_id=string"', "project", 200, [JOB_RUN]),
    Shown(f"curl -X POST \"{HERE}/bulk-cancel\" \\ {JSON_BODY} \\ -d '{{}}'", "nothing", 200, CANCELLED),
    Shown(f'curl -X GET "{HERE}/string"', "full", 200, JOB_RUN),
    Shown(f'curl -X DELETE "{HERE}/string"', "delayed", 200, JOB_RUN),
    Shown(f'curl -X POST "{HERE}/string/replay"', "failed", 201, JOB_RUN),
    Shown(f'curl -X POST "{HERE}/string/dlq-replay"', "dead", 201, JOB_RUN),
    Shown(f"curl -X POST \"{HERE}/bulk-dlq-replay\" \\ {JSON_BODY} \\ -d '{{}}'", "nothing", 400, PROBLEM),
    Shown(
        f"curl -X POST \"{HERE}/bulk-cancel-all?project_id=string\" \\ {JSON_BODY} \\ -d '{{}}'",
        "other project",
        200,
        CANCELLED,
    ),
    Shown(
        f'curl -X POST "{HERE}/bulk-replay" \\ {JSON_BODY} \\ -d \'{{ "run_ids": [ "string" ] }}\'',
        "failed",
        200,
        [JOB_RUN],
    ),
    Shown(f'curl -X GET "{HERE}/string/stream"', "full", 200, stream=True),
    Shown(f'curl -X GET "{HERE}/string/children"', "parent", 200, [JOB_RUN]),
    Shown(f'curl -X GET "{HERE}/string/events"', "full", 200, [EVENT]),
    Shown(f'curl -X GET "{HERE}/string/checkpoints"', "full", 200, [CHECKPOINT]),
    Shown(f'curl -X GET "{HERE}/string/usage"', "full", 200, [USAGE]),
    Shown(f'curl -X GET "{HERE}/string/tool-calls"', "full", 200, [TOOL_CALL]),
    Shown(f'curl -X GET "{HERE}/string/outputs"', "full", 200, [OUTPUT]),
    Shown(f'curl -X GET "{HERE}/string/debug-bundle"', "full", 200, BUNDLE),
    Shown(f"curl -X POST \"{HERE}/string/debug\" \\ {JSON_BODY} \\ -d '{{}}'", "delayed", 200),
    Shown(f'curl -X GET "{HERE}/string/lineage"', "full", 200, [JOB_RUN]),
    Shown(f'curl -X GET "{HERE}/string/dependency-status"', "depending", 200, DEPENDENCIES),
    Shown(f'curl -X DELETE "{HERE}/string/idempotency-key"', "keyed", 200, FREED),
    Shown(
        f'curl -X POST "{HERE}/string/reschedule" \\ {JSON_BODY} \\ -d \'{{ "scheduled_at": "{INSTANT}" }}\'',
        "delayed",
        200,
        JOB_RUN,
    ),
    Shown(f'curl -X POST "{HERE}/string/pause"', "delayed", 200, JOB_RUN),
    Shown(f'curl -X POST "{HERE}/string/resume"', "paused", 200, JOB_RUN),
    Shown(f"curl -X POST \"{HERE}/string/restart\" \\ {JSON_BODY} \\ -d '{{}}'", "asleep", 200, JOB_RUN),
    Shown(f'curl -X GET "{HERE}/string/stream/chunks"', "full", 200, stream=True),
    Shown(f'curl -X GET "{HERE}/string/state"', "full", 200),
)
