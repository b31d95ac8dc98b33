"""Threads over a world: made, talked in, and run by an executing side that is only a name."""

from __future__ import annotations

from typing import Any

from runwright.agents.agents import Agents
from runwright.agents.orders import AgentOrder
from runwright.domain import outcome as o
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.thread import TextPart, Thread
from runwright.engine.requests import Submitted
from tests.engine.world import ADMIN, PROJECT, World


class Talk:
    """The verbs of agents in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agents = Agents(world.engine, world.keyring)

    async def thread(self, **fields: Any) -> Thread:
        """Make a thread."""
        return (await self.agents.threads.create(ADMIN, PROJECT, fields)).value

    async def start(self, thread: Thread, said: str = "", **order: Any) -> Submitted:
        """Make a run of a thread."""
        given = {"input": (TextPart(said),)} if said else {}
        asked = AgentOrder(**{**given, **order})
        return await self.agents.runs.start(ADMIN, PROJECT, thread, asked, request_id="req_1", trace_id="t" * 32)

    async def retry(self, thread: Thread, **order: Any) -> Submitted:
        """Take the last turn back and make it again."""
        found = await self.agents.threads.find(ADMIN, thread.thread_id)
        asked = AgentOrder(**order)
        reader = self.world.reader()
        about = {"request_id": "req_1", "trace_id": "t" * 32}
        return await self.agents.runs.retry(reader, ADMIN, PROJECT, found, asked, **about)

    async def answer(self, run: Run, text: str, *hidden: str) -> Run:
        """End a run with an answer, and with what models and tools said to each other before."""
        threads, project_id, now = self.agents.threads, run.spec.project_id, self.world.clock.now()
        said = [threads.sealed(project_id, "tool", [TextPart(each)], now, hidden=True) for each in hidden]
        said.append(threads.sealed(project_id, "assistant", [TextPart(text)], now))
        return await self.world.finish(run, o.Completed(output=RedactedText(text), said=tuple(said)))

    async def said(self, thread: Thread) -> list[tuple[int, str, str]]:
        """Return the messages of a thread: number, role, words."""
        found = await self.agents.threads.messages(ADMIN, thread, None, 500, newest_first=False)
        return [(each.seq, each.role, self._text(thread, each)) for each in found]

    async def heard(self, run: Run) -> list[str]:
        """Return the words that a run answers."""
        found = await self.agents.threads.transcript(run)
        return [part.text for _, parts in found for part in parts if isinstance(part, TextPart)]

    def _text(self, thread: Thread, message: Any) -> str:
        parts = self.agents.threads.parts(thread.project_id, message)
        return " ".join(part.text for part in parts if isinstance(part, TextPart))

    def active(self, thread: Thread) -> list[tuple[str, str]]:
        """Return the runs that have not ended and wait for no turn, and their states, as they are stored."""
        rows = self.world.rows(
            "SELECT r.run_id, h.state, r.reason FROM thread_runs t JOIN runs r ON r.run_id = t.run_id"
            " JOIN run_heads h ON h.run_id = r.run_id"
        )
        return [(run_id, state) for run_id, state, reason in rows if (state, reason) != ("waiting", "dependency")]
