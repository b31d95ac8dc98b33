"""Ask a model for a patch: one call, by the loop of agents without tools, in the log and the budget of the run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from runwright.domain import outcome as o
from runwright.domain.agent_terms import Budget
from runwright.domain.events import Event
from runwright.domain.terminal_events import OUTPUT, TerminalOutput
from runwright.engine.reader import Beyond
from runwright.errors import Internal
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.prompt import SYSTEM
from runwright.executors.orchestrated.turns import Turns
from runwright.store.queries.events import OF_TYPE, event_of

TAIL_MAX = 8_000
"""So many characters of what a gate printed last are told to a model."""
PIECES_MAX = 200


async def ask(journal: Journal, turns: Turns, said: Sequence[str]) -> o.Outcome:
    """Return the model's last word of the iteration under way, or how the attempt ends in the middle of it.

    A call that a lost worker had made is not made again where its answer stands in the log.
    """
    runtime = journal.runtime
    if runtime.agent is None:
        raise Internal("a loop asks a model, and has none")
    limits = runtime.budget
    budget = Budget(
        cost_microusd=limits.cost_microusd,
        tokens=limits.tokens,
        tool_calls=limits.tool_calls,
        wall_s=limits.wall_s,
        turns=1,
    )
    terms = replace(runtime.agent, budget=budget, tools=(), risk_threshold=None, answer_within_s=None)
    bound = replace(turns, terms=replace(runtime, agent=terms))
    stage = await bound.stage(terms, SYSTEM, said, journal.run)
    return await bound.talk(stage, journal.attempt, journal.run, await _since(journal, turns))


async def _since(journal: Journal, turns: Turns) -> int:
    """Return where the iteration under way began."""
    events = await _last(journal, turns, "iteration.started", 1)
    if not events:
        raise Internal("no iteration has begun")
    return events[0].seq


async def printed(journal: Journal, turns: Turns, gate_id: str) -> str:
    """Return the end of what a gate printed when it judged last."""
    pieces: list[bytes] = []
    command = ""
    for event in await _last(journal, turns, OUTPUT, PIECES_MAX):
        told = msgspec.json.decode(event.data or b"{}", type=TerminalOutput)
        name, _, number = told.command_id.rpartition("_")
        if not name.endswith(f"_{gate_id}") or not number.isdigit():
            continue
        command = command or told.command_id
        if told.command_id != command:
            break
        pieces.insert(0, told.bytes())
    return b"".join(pieces).decode("utf-8", "replace")[-TAIL_MAX:]


async def _last(journal: Journal, turns: Turns, type_: str, limit: int) -> list[Event]:
    """Return the last events of a type, newest first."""
    among = {"run_id": journal.run.run_id, "type": type_, "limit": limit, **Beyond()._asdict()}
    return [event_of(row) for row in await turns.engine.store.fetch(OF_TYPE[1], **among)]
