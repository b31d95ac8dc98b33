"""The commands of a policy, run over a tree: what each says, twice where it says no, and what its report measured.

A verdict is about the tree as it was found: after each try the tree is put back. A red gate is run once more; if it is
green then, it is flaky, which counts as red unless the gate says otherwise. What could not run is not green. Gate runs
and remediation loops run their gates by this, and so say the same of the same tree.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from runwright.clock import Clock
from runwright.domain.coverage_report import REPORT_MAX_BYTES, NoCoverage, line_coverage
from runwright.domain.gating import GateOutcome, GateWord
from runwright.domain.policy_file import PolicyFile
from runwright.domain.quality_gate import CoverageReport, QualityGate
from runwright.domain.redaction import Redactor
from runwright.domain.verdict import Tried
from runwright.sandbox import beneath
from runwright.sandbox.child import NO_PROGRAM, NotStarted
from runwright.sandbox.command import Command, Ended
from runwright.sandbox.programs import ProgramMissing
from runwright.sandbox.scanner import Ground

NOT_FOUND = (126, 127)
"""What a shell ends with where there is no such program, or none that may be run."""
TOLD_MAX = 4_000
Status = Literal["green", "red", "not_run"]


class Bench(Ground, Protocol):
    """A workspace in which commands may do what they like, and that can be put back as it was."""

    async def put_back(self) -> None:
        """Forget what was changed."""
        ...


def _no_end() -> None:
    """Return that there is as much time as a gate may take."""


def _again() -> bool:
    """Return that a red gate may be tried once more."""
    return True


def _never_tried(number: int) -> Tried | None:
    """Return that nobody has made a try before."""


async def _told_nobody(number: int, tried: Tried) -> None:
    """Keep a try to the outcome."""


class GateBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the command of a gate may use, and what it is given.

    `left_s` says for how long something may still be run, None for as long as it may take; `may_retry` whether there
    is anything left for a second try. `made` returns a try that is known from before, by its number, which is not made
    again then; `tell` is told of each that was made, once the tree is as it was.
    """

    memory_bytes: int
    cpus: int
    output_max_bytes: int = 1 << 20
    env: Mapping[str, str] = {}
    programs: Mapping[str, tuple[str, ...]] = {}
    left_s: Callable[[], float | None] = _no_end
    may_retry: Callable[[], bool] = _again
    made: Callable[[int], Tried | None] = _never_tried
    tell: Callable[[int, Tried], Awaitable[None]] = _told_nobody


async def run_gates(
    policy: PolicyFile, bench: Bench, bounds: GateBounds, redactor: Redactor, clock: Clock
) -> tuple[GateOutcome, ...]:
    """Run the quality gates of a policy, one after the other. Raises `NotStarted`."""
    return tuple([await run_gate(each, policy, bench, bounds, redactor, clock) for each in policy.quality_gates])


async def run_gate(
    gate: QualityGate, policy: PolicyFile, bench: Bench, bounds: GateBounds, redactor: Redactor, clock: Clock
) -> GateOutcome:
    """Run one gate, and once more if it is red; both are recorded. The tree is as it was, then.

    Raises `NotStarted` where the sandbox does not work: a gate whose program is missing has not run.
    """
    if not policy.commands.allows(gate.command):
        return _outcome(gate, [_untried(redactor, "the policy lets this program not be run")])
    tried: list[Tried] = []
    for number in range(1, gate.retries + 2):
        one = bounds.made(number)
        if one is None:
            if tried and not bounds.may_retry():
                break
            one = await _try(gate, bench, bounds, redactor, clock)
            await bounds.tell(number, one)
        tried.append(one)
        if one.status != "red":
            break
    return _outcome(gate, tried)


def _outcome(gate: QualityGate, tried: Sequence[Tried]) -> GateOutcome:
    last = tried[-1]
    flaky = len(tried) > 1 and last.status == "green"
    status: GateWord = "flaky" if flaky else last.status
    detail = last.detail if len(tried) == 1 else "; then ".join(f"{each.status}: {each.detail}" for each in tried)
    return GateOutcome(
        gate_id=gate.id,
        status=status,
        passed=gate.is_green(status),
        required=gate.required,
        detail=f"{detail}; {last.unmeasured}" if last.unmeasured else detail,
        tries=tuple(tried),
        coverage=last.coverage,
    )


async def _try(gate: QualityGate, bench: Bench, bounds: GateBounds, redactor: Redactor, clock: Clock) -> Tried:
    left_s = bounds.left_s()
    timeout_s = gate.timeout if left_s is None else min(gate.timeout, left_s)
    command = Command(
        words=gate.command,
        timeout_s=timeout_s,
        memory_bytes=bounds.memory_bytes,
        cpus=bounds.cpus,
        output_max_bytes=bounds.output_max_bytes,
        env=bounds.env,
        programs=bounds.programs.get(gate.command[0], ()),
    )
    began = clock.monotonic()
    try:
        ended = await bench.run(command)
    except NotStarted as missing:
        if not isinstance(missing, ProgramMissing) and not str(missing).startswith(NO_PROGRAM):
            raise
        return _untried(redactor, absent(gate.command[0]))
    else:
        share, why = (None, "") if gate.coverage is None else _measured(gate.coverage, bench)
    finally:
        await bench.put_back()
    status, detail = said_of(ended, gate.command[0], timeout_s)
    return Tried(
        status=status,
        exit_code=ended.status,
        duration_ms=int((clock.monotonic() - began) * 1000),
        detail=redactor.text(detail),
        output=redactor.text(ended.output[-TOLD_MAX:]),
        coverage=share,
        unmeasured=redactor.text(why),
    )


def _untried(redactor: Redactor, why: str) -> Tried:
    return Tried(status="not_run", exit_code=None, duration_ms=0, detail=redactor.text(why))


def said_of(ended: Ended, program: str, timeout_s: float) -> tuple[Status, str]:
    """Return what the end of a gate's command says of the tree, and in which words."""
    if ended.exceeded is not None:
        kind, used, most, _ = ended.exceeded
        return "not_run", f"it was killed at its limit of {kind}: it used {used}, and may use {most}"
    if ended.status is None:
        return "not_run", f"it was ended after {timeout_s:g} s, with everything that it had started"
    if ended.status in NOT_FOUND:
        return "not_run", absent(program)
    return ("green" if ended.status == 0 else "red"), f"it ended with the exit code {ended.status}"


def absent(program: str) -> str:
    """Return the words for a program that a gate could not run."""
    return f"{program} is not there in the sandbox, or cannot be run"


def _measured(report: CoverageReport, bench: Bench) -> tuple[float | None, str]:
    try:
        parts = beneath.parts_of(report.file)
        with (
            beneath.directory(bench.files.root, parts[:-1]) as fd,
            os.fdopen(beneath.opened(fd, parts[-1], report.file), "rb") as file,
        ):
            content = file.read(REPORT_MAX_BYTES + 1)
        if len(content) > REPORT_MAX_BYTES:
            return None, f"its report of coverage has more than {REPORT_MAX_BYTES} bytes"
        return line_coverage(content, report.file, report.format), ""
    except (OSError, beneath.Outside):
        return None, f"it left no report of coverage as {report.file}"
    except NoCoverage as why:
        return None, str(why)
