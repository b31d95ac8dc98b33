"""A sample of `runwright up`: a runtime run over an empty workspace, its terminal, and what its gate said."""

import sys

from runwright.cli import printing
from runwright.cli.exits import FAILED, OK
from runwright.cli.terminal import Screen
from runwright.client.api import AsyncClient
from runwright.client.runtime_models import RuntimeRun

STEPS = (
    {
        "kind": "command",
        "step_id": "write",
        "command": ["sh", "-c", "printf '\\033[32mwriting\\033[0m a greeting\\n'; echo hello > greeting"],
        "tty": True,
    },
    {"kind": "gate", "step_id": "is-there", "command": ["grep", "-q", "hello", "greeting"]},
    {"kind": "scan", "step_id": "scan"},
    {"kind": "report", "step_id": "report"},
)
NO_SANDBOX = frozenset({"WORKSPACE_MISSING", "INFRA_ERROR"})


async def sample(client: AsyncClient) -> int:
    """Make the run, show its terminal, and return the exit code; without a sandbox there is none: a note says so."""
    printing.say()
    made = await client.runtime.create(mode="edit_gated", objective="Write a greeting", steps=list(STEPS))
    printing.say(f"made a runtime run: {made.run_id}")
    screen = Screen()
    async for frame in client.runtime.terminal(made.run_id):
        screen.show(frame)
    sys.stdout.flush()
    run = await client.runtime.status(made.run_id)
    stop = run.stop or {}
    if stop.get("code") in NO_SANDBOX:
        printing.note(f"no runtime run: {stop.get('detail')}")
        return OK
    _tell(run)
    return OK if run.gate_status == "passed" else FAILED


def _tell(run: RuntimeRun) -> None:
    printing.say()
    printing.table(
        ("what its steps came to", ""),
        [
            *((f"step {step['name']}", step["status"]) for step in run.summaries["steps"]),
            ("gate", run.gate_status),
            ("findings", run.summaries["findings"]["total"]),
            ("events", run.total_events),
        ],
    )
