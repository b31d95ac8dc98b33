"""Follow a remediation loop in the terminal: what it does as it does it, and how far it came."""

from collections.abc import Mapping
from typing import Any

from runwright.cli import printing
from runwright.cli.watching import PATIENCE
from runwright.client.loop_models import LoopDelivery, OmarLoop
from runwright.client.models import Event
from runwright.client.sync.api import Client
from runwright.domain.summaries import summary

TOLD = {
    "loop.started", "loop.surveyed", "gate.result", "iteration.started", "patch.refused", "iteration.completed",
    "policy.denied", "approval.requested", "approval.voted", "approval.approved", "approval.denied", "approval.expired",
    "budget.warning", "budget.exhausted", "finding.fixed", "usage.unverified", "run.paused", "run.resumed",
    "run.recovered", "run.cancel_requested", "loop.stopped",
}  # fmt: skip
"""The events that say how a loop goes on; all others are told by `runwright runtime runs events`."""
COLUMNS = ("n", "patcher", "outcome", "files", "lines", "why")


def follow(client: Client, loop_id: str, after_seq: int = 0) -> OmarLoop:
    """Show what a loop does until it ends, over cuts and restarts, and return what came of it and of its delivery."""
    surveyed = False
    for event in client.runs.stream(loop_id, after_seq, allow_gaps=True, backoff=PATIENCE):
        surveyed = surveyed or event.type == "loop.surveyed"
        blind = event.type == "scan.completed" and event.level == "warning" and not surveyed
        if blind or event.type in TOLD:
            printing.say(_line(event))
            if event.type == "approval.requested":
                printing.note(f"see what is asked: runwright approvals show {loop_id}")
    return client.loops.wait(loop_id)


def _line(event: Event) -> str:
    at = event.created_at.astimezone().strftime("%H:%M:%S") if event.created_at else "-" * 8
    data = event.data if isinstance(event.data, dict) else None
    said = printing.printable(summary(event.type, event.message or "", data))
    styles = {"warning": "yellow", "error": "red"}
    return f"{printing.styled(at, 'dim')}  {printing.styled(said, styles.get(event.level, ''))}"


def show(loop: OmarLoop) -> None:
    """Print where a loop stands: what it tried, and what it keeps."""
    if loop.iterations:
        printing.table(COLUMNS, map(_row, loop.iterations))
        printing.say()
    start, now = (_counts(loop.findings.get(name)) for name in ("start", "best"))
    absent = [f"{name} {word.replace('_', ' ')}" for name, word in loop.coverage.items() if word != "completed"]
    gates = [f"{gate['id']} {gate['status'].replace('_', ' ')}" for gate in loop.gates]
    printing.detail(
        [
            ("loop", loop.loop_id),
            ("state", loop.state),
            ("ended", loop.exit_reason),
            ("because", (loop.exit_detail or {}).get("message")),
            ("next", loop.next_action),
            ("asked of people", ", ".join(loop.pending_approvals)),
            ("repository", loop.repo),
            ("commit", loop.head_sha),
            ("open at first", start),
            ("open now", now),
            ("gates", ", ".join(gates)),
            ("not looked at by", ", ".join(absent)),
            ("iterations", f"{loop.iteration} of {loop.max_iterations}" if loop.max_iterations else loop.iteration),
            ("tree", loop.tree_sha),
        ]
    )
    _show_delivery(loop.delivery, loop.loop_id)


def _show_delivery(delivery: LoopDelivery | None, loop_id: str) -> None:
    if delivery is None:
        return
    url = None if delivery.pr is None else delivery.pr.get("url")
    facts = {"delivery": delivery.state, "delivery_run_id": delivery.delivery_run_id, "commit_sha": delivery.commit_sha}
    printing.detail([*facts.items(), ("branch", delivery.branch), ("pull_request", url)])
    if delivery.state == "awaiting_approval":
        printing.note(f"see what is asked: runwright approvals show {delivery.delivery_run_id}")
    elif delivery.error is not None:
        printing.note(f"{delivery.error.code}: {delivery.error.message}")
    if delivery.state == "failed":
        printing.note(f"deliver it by hand once that is mended: runwright checkpoint {loop_id}")


def _counts(findings: Mapping[str, Any] | None) -> str | None:
    return None if findings is None else ", ".join(f"{count} {severity}" for severity, count in findings.items())


def _row(each: Mapping[str, Any]) -> list[object]:
    size = each.get("patch") or {}
    lines = f"+{size.get('added', 0)} -{size.get('removed', 0)}"
    outcome = each.get("outcome") or "goes on"
    return [each.get("n"), each.get("patcher"), outcome, size.get("files", 0), lines, each.get("why")]
