"""Run the process runs of this server: the command of the version that a run pinned, under the attempt's lease."""

from __future__ import annotations

from collections.abc import Callable

from runwright.client import outcome as c
from runwright.client.errors import LeaseLost
from runwright.client.processes import ProcessCall, ProcessOrder
from runwright.config import Settings
from runwright.domain import outcome as o
from runwright.domain.lane import Lane
from runwright.domain.presets import PROCESS
from runwright.engine.attempt import Attempt, AttemptLost
from runwright.engine.captures import came_back, handed_over
from runwright.engine.process_plans import ProcessPlan, ProcessPlans
from runwright.engine.values import encode
from runwright.errors import NotFound
from runwright.executors.local_session import LocalSession, outcome_of
from runwright.executors.process.run import run_process
from runwright.sandbox.means import Means
from runwright.store.base import Store

Minter = Callable[[str, int], str]
"""Returns the run token of a lease: (run id, lease epoch)."""


class ProcessExecutor:
    """Executes the runs of process jobs; without `means` it refuses each, and says `why`.

    `api_url` is where commands find the API.
    """

    name = PROCESS

    def __init__(
        self, plans: ProcessPlans, mint: Minter, means: Means | None, *, why: str, stop_grace_s: float, api_url: str
    ) -> None:
        self.api_url = api_url
        self._plans = plans
        self._mint = mint
        self._means = means
        self._why = why
        self._stop_grace_s = stop_grace_s

    @classmethod
    async def open(cls, settings: Settings, store: Store, mint: Minter) -> ProcessExecutor:
        """Return the executor with the means that work on this machine, or with none."""
        means, why = await Means.of(settings)
        url = settings.process_api_url or f"http://{settings.host}:{settings.port}"
        grace_s = settings.stop_grace_s
        return cls(ProcessPlans(store), mint, means, why=why, stop_grace_s=grace_s, api_url=url)

    def serves(self, lane: Lane) -> bool:
        """Tell whether a lane holds runs of process jobs."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Run the attempt's command and return how it ended."""
        run = attempt.run
        try:
            plan = await self._plans.find(run)
        except NotFound as gone:
            return attempt.failed("JobGone", gone.detail, retryable=False, code=gone.code, reason="system")
        if self._means is None:
            message = f"no sandbox works on this server, so it runs no process: {self._why}"
            return attempt.failed(
                "SandboxMissing", message, retryable=False, code="process.no_sandbox", reason="system"
            )
        call = ProcessCall(
            order=order_of(plan),
            job_id=run.spec.job_id or "",
            run_token=self._mint(run.run_id, run.lease_epoch),
            api_url=self.api_url,
            stop_grace_s=self._stop_grace_s,
        )
        session = LocalSession(attempt, await attempt.provision())
        if attempt.debug:
            attempt.capture("debug.request", handed_over(run), encode(session.payload))
        try:
            ended: c.Outcome = await run_process(call, session, self._means)
        except LeaseLost as lost:
            raise AttemptLost from lost
        if attempt.debug:
            attempt.capture("debug.response", *came_back(ended))
        return outcome_of(attempt, ended)

    def close(self) -> None:
        """Remove what it kept on the disk."""
        if self._means is not None:
            self._means.close()


def order_of(plan: ProcessPlan) -> ProcessOrder:
    """Return the order that a worker elsewhere would be given for a plan."""
    return ProcessOrder(
        command=plan.command,
        tty=plan.tty,
        network=plan.network,
        preset=plan.preset,
        cpus=plan.cpus,
        memory_mb=plan.memory_mb,
    )
