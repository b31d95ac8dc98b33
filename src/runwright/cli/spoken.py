"""The third sample of `runwright up`: an agent run of the model in this process, as it speaks, and what it used."""

import asyncio
from datetime import datetime

from runwright.cli import printing
from runwright.cli.exits import FAILED, OK
from runwright.cli.talking import Screen, dollars
from runwright.cli.watching import exit_code
from runwright.client.agent_events import ModelUsed, TextDelta
from runwright.client.api import AsyncClient
from runwright.client.models import Run

QUESTION = "Why should a computer program keep a log?"
PERSONA = "sample"
PROMPT = "Answer in one short sentence."
BUDGET = {"tokens": 280}
"""What leaves the answer about a hundred tokens, a few seconds on a slow machine."""
LIMIT_S = 60.0


async def sample(client: AsyncClient) -> int:
    """Ask the default route a question in a thread, show the answer as it comes, and return the exit code."""
    printing.say()
    models = await client.models.list().all()
    missing = next((model.problem for model in models if model.route == "local" and model.problem), None)
    if missing is not None:
        printing.note(f"no agent run: {missing}")
        return OK
    await client.personas.create(PERSONA, prompt=PROMPT, temperature=0, tools=(), budget=BUDGET)
    thread = await client.threads.create(title=QUESTION, persona_id=PERSONA)
    stream = client.threads.stream(thread.id, input=QUESTION)
    printing.say(f"asked an agent: {await stream.begin()}")
    printing.say(f"> {QUESTION}")
    screen, spoke_at, used = Screen(), None, None
    try:
        async with asyncio.timeout(LIMIT_S):
            async for event in stream:
                if isinstance(event, TextDelta):
                    spoke_at = spoke_at or event.event.created_at
                used = event if isinstance(event, ModelUsed) else used
                screen.show(event)
    except TimeoutError:
        await client.runs.cancel(stream.run_id, reason="the sample is over")
        printing.fail(f"the agent did not answer within {LIMIT_S:.0f} s", "Look for it: `runwright runs why RUN`.")
        return FAILED
    run = await client.runs.get(stream.run_id)
    _tell(run, used, spoke_at)
    return exit_code(run)


def _tell(run: Run, used: ModelUsed | None, spoke_at: datetime | None) -> None:
    first_ms = (spoke_at - run.created_at).total_seconds() * 1000 if spoke_at and run.created_at else None
    cost = "not known" if run.total_cost_usd is None else dollars(run.total_cost_usd)
    printing.say()
    printing.table(
        ("what it used", ""),
        [
            ("status", run.status),
            ("model", f"{run.model}, in this process" if used and used.provider == "local" else run.model),
            ("tokens in", run.total_input_tokens),
            ("tokens out", run.total_output_tokens),
            ("cost", cost),
            ("first word after", printing.duration(first_ms)),
            ("took", printing.duration(run.duration_ms)),
        ],
    )
    if run.error:
        printing.fail(f"{run.error_class}: {run.error}")
