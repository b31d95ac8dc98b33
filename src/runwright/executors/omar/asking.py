"""Ask a model for a patch: one call, by the loop of agents without tools, in the log and the budget of the run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from runwright.domain import outcome as o
from runwright.domain.agent_terms import Budget
from runwright.domain.events import Event
from runwright.domain.quality_gate import QualityGate
from runwright.domain.terminal_events import ENDED, OUTPUT, STARTED, TerminalOutput
from runwright.engine.reader import LAST, Beyond
from runwright.errors import Internal
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.prompt import SYSTEM
from runwright.executors.omar.surveying import call_id_of
from runwright.executors.orchestrated.turns import Turns
from runwright.store.queries.events import OF_TYPE, event_of

TAIL_MAX = 8_000
"""So many characters of what a gate printed last are told to a model."""
PIECES_MAX, PAGE = 200, 200


class _Of(msgspec.Struct):
    command_id: str = ""


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


async def printed(journal: Journal, turns: Turns, gate: QualityGate) -> str:
    """Return the end of what a gate printed when it judged the tree that is kept; of a flaky one, when it was red."""
    kept = next((each.n for each in reversed(journal.loop.iterations) if each.outcome == "kept"), 0)
    for number in (1,) if is_flaky(journal, gate) else range(gate.retries + 1, 0, -1):
        command = call_id_of(gate, str(kept), number)
        ended = await _newest(journal, turns, ENDED, command)
        began = None if ended is None else await _newest(journal, turns, STARTED, command, ended.seq)
        if ended is not None and began is not None:
            return await _said(journal, turns, began.seq, ended.seq)
    return ""


def is_flaky(journal: Journal, gate: QualityGate) -> bool:
    """Tell whether a gate was red and then green on the tree that is kept."""
    return any((each.gate_id, each.status) == (gate.id, "flaky") for each in journal.loop.gates)


async def _newest(journal: Journal, turns: Turns, type_: str, command: str, before_seq: int = LAST) -> Event | None:
    """Return where a command last began, or ended: one that a lost worker ran was run again."""
    while events := await _last(journal, turns, type_, PAGE, before_seq=before_seq):
        for event in events:
            if msgspec.json.decode(event.data or b"{}", type=_Of).command_id == command:
                return event
        before_seq = events[-1].seq
    return None


async def _said(journal: Journal, turns: Turns, after_seq: int, before_seq: int) -> str:
    between = {"after_seq": after_seq, "before_seq": before_seq}
    pieces = [
        msgspec.json.decode(event.data or b"{}", type=TerminalOutput).bytes()
        for event in await _last(journal, turns, OUTPUT, PIECES_MAX, **between)
    ]
    return b"".join(reversed(pieces)).decode("utf-8", "replace")[-TAIL_MAX:]


async def _last(journal: Journal, turns: Turns, type_: str, limit: int, **between: int) -> list[Event]:
    """Return the last events of a type, newest first."""
    among = {"run_id": journal.run.run_id, "type": type_, "limit": limit, **Beyond(**between)._asdict()}
    return [event_of(row) for row in await turns.engine.store.fetch(OF_TYPE[1], **among)]
