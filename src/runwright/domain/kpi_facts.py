"""What an ended run adds to the KPIs, by its end and by its log: counts, lengths of time, and what people decided.

A log is read by its types; only of what people, gates and findings said are the data looked at. What a log cannot tell
is None, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from runwright.domain.instants import HOUR_US
from runwright.domain.rollups import End

READ: frozenset[str] = frozenset({
    "approval.approved", "approval.denied", "approval.requested", "finding.fixed", "finding.opened", "gate.result",
    "loop.stopped", "run.completed", "run.input_received", "run.waiting_for_input", "tool.denied",
})  # fmt: skip
"""The types whose data are read."""
_BARE = ("child.spawned", "llm.request", "llm.response", "llm.retry", "tool.call", "tool.called")
COUNTED: frozenset[str] = READ.union(_BARE)
"""The types that are looked at."""
PLAIN = 3
"""Events of a run that was made, began and ended: there is nothing in its log but that."""
ALWAYS = frozenset({"agent", "runtime", "loop", "delivery"})
"""The kinds of runs that call models and tools, and may go on after a lost worker."""
DENIED_BY_PERSON = "tool.denied"
NO_VERDICT = frozenset({"cancelled", "infra_error"})
"""The ends of loops that say nothing of the repair."""
LABEL_MAX = 256

_read = msgspec.json.Decoder(dict[str, Any]).decode


class Told(msgspec.Struct, frozen=True):
    """An event of a log; `data` is None for types that are only counted, and where it was erased."""

    run_id: str
    type: str
    at: int
    data: bytes | None


class Log(msgspec.Struct, frozen=True, array_like=True):
    """What a log tells. `result` is the digest of what the run gave; None where it gave nothing.

    `verdict` is why a loop ended, after so many `iterations`; None where it came to no verdict.
    """

    model_answers: int = 0
    model_failures: int = 0
    answer_us: tuple[int, ...] = ()
    tool_calls: int = 0
    subagents: int = 0
    overridden: int = 0
    decision_us: tuple[int, ...] = ()
    gates: int = 0
    gates_green: int = 0
    findings: int = 0
    fix_us: tuple[int, ...] = ()
    result: str | None = None
    fingerprints: tuple[str, ...] = ()
    budget_stop: bool = False
    verdict: str | None = None
    iterations: int = 0


NOTHING = Log()
"""What the log of a plain run tells."""


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What a run adds. `cost_microusd` of None is unknown; `reproduced` of None: it repeats no run that can be read."""

    state: str
    reason: str | None
    attempts: int
    queued_us: int
    active_us: int
    total_us: int
    cost_microusd: int | None
    tokens: int
    recoveries: int
    agentic: bool
    log: Log = NOTHING
    reproduced: bool | None = None

    @property
    def plain(self) -> bool:
        """Tell whether it is known of the run how it ended, and nothing else."""
        return not self.agentic and self.reproduced is None and self.log == NOTHING


class Fact(msgspec.Struct, frozen=True):
    """An ended run: whose it was, when it ended, what it is grouped by, and what it adds."""

    org_id: str
    project_id: str
    ended_at: int
    run_id: str
    kind: str
    mode: str | None
    repo: str | None
    model: str | None
    facts: Facts

    @property
    def hour_at(self) -> int:
        """Return the hour in which it counts."""
        return self.ended_at - self.ended_at % HOUR_US


def wants_log(end: End) -> bool:
    """Tell whether a run's log may hold what its end does not say."""
    return end.kind in ALWAYS or end.seq > PLAIN


def fact(end: End, log: Log, former: tuple[str, Log] | None = None) -> Fact:
    """Return what a run adds; `former` is the end (state and log) of the run that it repeats."""
    facts = Facts(
        state=end.state,
        reason=end.reason,
        attempts=end.retries + 1,
        queued_us=end.queued_us,
        active_us=end.active_us,
        total_us=end.total_us,
        cost_microusd=None if end.unpriced else end.cost_microusd,
        tokens=end.tokens,
        recoveries=end.recoveries,
        agentic=end.kind in ALWAYS or bool(end.tokens or log.tool_calls or log.model_answers),
        log=log if log is NOTHING else msgspec.structs.replace(log, result=None, fingerprints=()),
        reproduced=None if former is None else (end.state, log.result, log.fingerprints) == _outcome(*former),
    )
    repo = None if end.repo is None else end.repo[:LABEL_MAX]
    model = None if end.model is None else end.model[:LABEL_MAX]
    return Fact(end.org_id, end.project_id, end.at, end.run_id, end.kind, end.mode, repo, model, facts)


def _outcome(state: str, log: Log) -> tuple[str, str | None, tuple[str, ...]]:
    return state, log.result, log.fingerprints


def read_log(events: Iterable[Told]) -> Log:
    """Return what the events of one run tell, in their order."""
    reading = _Reading()
    for event in events:
        if event.type not in READ:
            reading.count(event)
        elif event.data is not None:
            reading.take(event, _read(event.data))
    return reading.log()


class _Reading:
    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._asked_at: int | None = None
        self._answer_us: list[int] = []
        self._undecided: dict[str, tuple[int, str]] = {}
        self._decided: set[str] = set()
        self._decision_us: list[int] = []
        self._overridden = 0
        self._gates: dict[str, bool] = {}
        self._findings = 0
        self._open: dict[str, int] = {}
        self._fingerprints: set[str] = set()
        self._fix_us: list[int] = []
        self._result: str | None = None
        self._budget_stop = False
        self._verdict: str | None = None
        self._iterations = 0

    def count(self, event: Told) -> None:
        self._counts[event.type] = self._counts.get(event.type, 0) + 1
        if event.type == "llm.request":
            self._asked_at = event.at
        elif event.type in ("llm.response", "llm.retry") and self._asked_at is not None:
            if event.type == "llm.response":
                self._answer_us.append(event.at - self._asked_at)
            self._asked_at = None

    def take(self, event: Told, data: dict[str, Any]) -> None:
        match event.type:
            case "approval.requested":
                self._undecided[f"approval/{data.get('checkpoint_id')}"] = (event.at, "")
            case "approval.approved" | "approval.denied":
                decided = self._decide(f"approval/{data.get('checkpoint_id')}", event.at)
                self._overridden += decided and event.type == "approval.denied"
            case "run.waiting_for_input":
                if data.get("kind") == "confirmation" and data.get("tool_call_id") is not None:
                    self._undecided[f"input/{data.get('request_id')}"] = (event.at, str(data["tool_call_id"]))
            case "run.input_received":
                self._decide(f"input/{data.get('request_id')}", event.at)
            case "tool.denied":
                decided = data.get("tool_call_id") in self._decided  # else nobody answered, or the rules said no
                self._overridden += decided and data.get("reason") == DENIED_BY_PERSON
            case "gate.result":
                if data.get("status") != "not_run":
                    self._gates.setdefault(str(data.get("gate_id", event.at)), data.get("status") == "green")
            case "finding.opened":
                self._opened(_finding(data), event.at)
            case "finding.fixed":
                opened_at = self._open.pop(_finding(data), None)
                if opened_at is not None:
                    self._fix_us.append(event.at - opened_at)
            case "loop.stopped":
                reason = str(data.get("exit_reason"))
                self._verdict = None if reason in NO_VERDICT else reason
                self._iterations = int(data.get("iterations", 0))
            case "run.completed":
                self._result = (data.get("result") or {}).get("sha256")
                self._budget_stop = data.get("stop_class") == "budget_exhausted"

    def _opened(self, fingerprint: str, at: int) -> None:
        self._fingerprints.add(fingerprint)
        if fingerprint not in self._open:
            self._findings += 1
            self._open[fingerprint] = at

    def _decide(self, name: str, at: int) -> bool:
        asked = self._undecided.pop(name, None)
        if asked is not None:
            self._decision_us.append(at - asked[0])
            self._decided.add(asked[1])
        return asked is not None

    def log(self) -> Log:
        counts = self._counts
        return Log(
            model_answers=counts.get("llm.response", 0),
            model_failures=counts.get("llm.retry", 0),
            answer_us=tuple(self._answer_us),
            tool_calls=counts.get("tool.call", 0) + counts.get("tool.called", 0),
            subagents=counts.get("child.spawned", 0),
            overridden=self._overridden,
            decision_us=tuple(self._decision_us),
            gates=len(self._gates),
            gates_green=sum(self._gates.values()),
            findings=self._findings,
            fix_us=tuple(self._fix_us),
            result=self._result,
            fingerprints=tuple(sorted(self._fingerprints)),
            budget_stop=self._budget_stop,
            verdict=self._verdict,
            iterations=self._iterations,
        )


def _finding(data: dict[str, Any]) -> str:
    return str(data.get("fingerprint") or data.get("finding_id") or "")
