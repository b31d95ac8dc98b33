"""Run one process for one lease: in its sandbox, under its limits, until it ends or is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import msgspec

from runwright.client.errors import LeaseLost
from runwright.client.facts import Checkpoint
from runwright.client.outcome import Completed, Failed, Outcome, Stopped
from runwright.client.processes import ProcessCall
from runwright.client.session import Draft, Session, Value
from runwright.executors.answers import result_of
from runwright.executors.process import endings
from runwright.executors.process.refusals import Refusals
from runwright.executors.process.terminal import Listener
from runwright.executors.terminal import Terminal
from runwright.sandbox.child import Asked, Child, NotStarted
from runwright.sandbox.means import Means
from runwright.sandbox.relay import Relay, inside
from runwright.sandbox.sandbox import FILES, WORKSPACE
from runwright.sandbox.surely import surely
from runwright.sandbox.watch import Exceeded, Watch
from runwright.sandbox.workspace import CHECKPOINT, PAYLOAD, RESULT, TooMuch, Workspace

GRACE_PART = 0.8
"""The part of a stop's grace that the process has: the rest is for saying that it has ended."""
RESCUE_S = 5.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run_process(call: ProcessCall, session: Session, means: Means) -> Outcome:
    """Run the command to its end and return what came of it; no process of it is left.

    Raises `LeaseLost` when the session does, and `CancelledError`; then, too, everything was killed.
    """
    if call.order.network and not means.bounds.network:
        message = "the job asks for the network, which this machine gives to no process (RUNWRIGHT_PROCESS_NETWORK)"
        return endings.refused("NetworkRefused", "process.network_refused", message)
    last = Checkpoint(await session.values("checkpoint"))
    place = await means.workspaces.make(session.run_id, session.payload, last.state)
    child = Child(means.clock)
    try:
        return await _Run(call, session, means, place, child, last.sequence).to_the_end()
    except NotStarted as why:
        return endings.not_begun(str(why))
    finally:
        await surely(_cleared(child, means, place))


async def _cleared(child: Child, means: Means, place: Workspace) -> None:
    await child.close()
    await means.workspaces.remove(place)


class _Run:
    def __init__(
        self, call: ProcessCall, session: Session, means: Means, place: Workspace, child: Child, sequence: int
    ) -> None:
        bounds = means.bounds
        self._call = call
        self._order = call.order
        self._session = session
        self._means = means
        self._place = place
        self._child = child
        self._sequence = sequence
        self._exceeded: Exceeded | None = None
        self._stopping = False
        self._memory_bytes = call.order.memory_mb << 20
        self._refusals = Refusals(means.sandbox.paths)
        self._terminal = Terminal(session, f"cmd_{session.lease_epoch}", session.now)
        self._listener = Listener(self._terminal, bounds.output_max_bytes, self._over, self._refusals)
        self._watch = Watch(child, place, bounds, self._memory_bytes, self._over, means.clock)
        self._mark: tuple[int, ...] | None = place.mark(CHECKPOINT)

    async def to_the_end(self) -> Outcome:
        """Start the process, follow it, and say how it ended."""
        cpus = self._means.cpus.take(self._order.cpus)
        try:
            await self._start(cpus)
            try:
                status = await self._followed()
            except BaseExceptionGroup as group:
                raise _first(group) from None
            except asyncio.CancelledError:
                await surely(self._rescue())
                raise
        finally:
            self._means.cpus.give_back(cpus)
        return await self._ended(status)

    async def _start(self, cpus: tuple[int, ...]) -> None:
        bounds, order, sandbox = self._means.bounds, self._order, self._means.sandbox
        limits = {"CORE": 0, "NOFILE": bounds.files_max, "FSIZE": bounds.workspace_max_bytes}
        limits["NPROC"] = 2 * bounds.pids_max + 8  # beyond what is seen and told: for what is faster than a look
        env = self._environment()
        asked = Asked(order.command, env, order.tty, order.network, cpus, self._memory_bytes, limits)
        await self._child.start(sandbox, self._place, asked)
        if sandbox.cgroups is not None:
            name = f"{self._session.run_id}.{self._session.lease_epoch}"
            try:
                self._child.group = sandbox.cgroups.make(name, self._memory_bytes, bounds.pids_max + 8)
                self._child.group.add(self._child.pid)
            except OSError as refused:
                raise NotStarted(f"its control group was refused: {refused.strerror}") from None
        data = {
            "command": list(order.command),
            "preset": order.preset,
            "cpus": len(cpus),
            "memory_mb": order.memory_mb,
            "memory_means": sandbox.memory_means,
            "tty": order.tty,
            "network": "host" if order.network else "none",
        }
        self._session.emit(Draft("process.started", data, message=f"started with the preset {order.preset}"))
        self._terminal.begin(order.command, cwd=WORKSPACE, tty=order.tty)

    def _environment(self) -> dict[str, str]:
        session, call = self._session, self._call
        found = {"PATH": PATH, "HOME": "/workspace", "TMPDIR": "/tmp", "USER": "run", "LANG": "C.UTF-8"}
        found |= {"TERM": "xterm-256color"} if self._order.tty else {}
        ours = {
            "RUN_ID": session.run_id,
            "JOB_ID": call.job_id,
            "ATTEMPT": str(session.attempt),
            "RUN_TOKEN": call.run_token,
            "API_URL": call.api_url if self._order.network else inside(call.api_url),
            "PAYLOAD_FILE": f"{FILES}/{PAYLOAD}",
            "CHECKPOINT_FILE": f"{FILES}/{CHECKPOINT}",
            "RESULT_FILE": f"{FILES}/{RESULT}",
        }
        # What the project gives it may be a path of its own, but never who it is.
        return found | dict(session.env) | dict(session.secrets) | {f"RUNWRIGHT_{name}": ours[name] for name in ours}

    # --- while it runs ------------------------------------------------------------------------------------------------

    async def _followed(self) -> int | None:
        async with contextlib.AsyncExitStack() as stack:
            if self._child.listener is not None:
                await stack.enter_async_context(Relay(self._child.listener, self._call.api_url))
            async with asyncio.TaskGroup() as tasks:
                for name, stream in self._child.streams.items():
                    tasks.create_task(self._listener.follow(name, stream))
                others = [
                    tasks.create_task(self._watch.look(self._save_checkpoint)),
                    tasks.create_task(self._stop_when_asked()),
                ]
                self._child.release()
                status = await self._child.ended()
                for task in others:
                    task.cancel()
        return status

    async def _stop_when_asked(self) -> None:
        await self._session.stop.wait()
        self._stopping = True
        self._child.signal(signal.SIGTERM)
        await self._means.clock.sleep(self._call.stop_grace_s * GRACE_PART)
        self._child.kill()

    def _over(self, exceeded: Exceeded) -> None:
        if self._exceeded is None:
            self._exceeded = exceeded
            self._child.kill()

    async def _save_checkpoint(self, *, last: bool = False) -> None:
        """Keep what the command has written into its checkpoint file since; half of it is looked at again later."""
        mark = self._place.mark(CHECKPOINT)
        if mark is None or mark == self._mark:
            return
        try:
            content = self._place.read(CHECKPOINT, self._means.bounds.value_max_bytes)
            state = msgspec.json.decode(content or b"", type=dict[str, Any])
        except (TooMuch, msgspec.MsgspecError, RecursionError) as wrong:
            if last:
                self._session.emit(Draft("log", {}, "warning", f"the checkpoint was not kept: {wrong}"))
            return
        self._mark = mark
        self._sequence += 1
        draft = Draft("checkpoint.saved", {"sequence": self._sequence, "source": "file"})
        await self._session.save([draft], [Value("checkpoint", str(self._sequence), state)])

    async def _rescue(self) -> None:
        """Kill the process; what it had written to go on from is kept, if the lease still is."""
        self._child.kill()
        await self._child.ended()
        with contextlib.suppress(LeaseLost, TimeoutError):
            async with asyncio.timeout(RESCUE_S):
                await self._save_checkpoint(last=True)

    # --- how it ended -------------------------------------------------------------------------------------------------

    async def _ended(self, status: int | None) -> Outcome:
        self._terminal.end(None if self._exceeded else status)
        await self._save_checkpoint(last=True)
        words = self._listener.last_words
        told: list[Draft] = []
        ways = 0 if self._order.network else self._child.ways_refused()
        if ways:
            told.append(endings.no_way_out(ways))
        refused = self._refusals.told(failed=status not in (None, 0))
        told += [] if refused is None else [refused]
        outcome = self._outcome(status, words, told)
        peak, written = self._watch.peak_bytes, self._listener.bytes
        data = {"exit_code": status, "peak_memory_bytes": peak, "output_bytes": written}
        told.append(Draft("process.ended", data, message="ended"))
        await self._session.save(told)
        return outcome

    def _outcome(self, status: int | None, words: str, told: list[Draft]) -> Outcome:
        group = self._child.group
        if self._exceeded is None and group is not None and group.out_of_memory:
            self._exceeded = Exceeded("memory", self._memory_bytes, self._memory_bytes, "cgroup")
        kind = self._session.stop.requested
        if self._stopping and kind is not None:
            return Stopped(kind)
        if self._exceeded is not None:
            event, failed = endings.limited(self._exceeded, self._order.preset)
            told.append(event)
            return failed
        if status is None:
            return endings.not_begun(words)
        if status != 0:
            return endings.exited(status, words)
        return self._completed()

    def _completed(self) -> Completed | Failed:
        try:
            content = self._place.read(RESULT, self._means.bounds.value_max_bytes)
        except TooMuch as wrong:
            return endings.refused("ResultRefused", "process.result_too_large", str(wrong))
        return Completed(None if content is None else result_of(content))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what matters most of what went wrong at once."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        else:
            leaves.append(each)
    return next((leaf for leaf in leaves if isinstance(leaf, LeaseLost)), leaves[-1])
