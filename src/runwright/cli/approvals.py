"""`runwright approvals`: what runs ask people, shown with its subject, and decided about what was shown."""

from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import CommandError
from runwright.cli.inputs import Yes, confirm
from runwright.client.approval_models import Approval
from runwright.client.sync.api import Client

app = App(name="approvals", help="List what runs ask people, show it with its subject, approve or deny it.")

COLUMNS = ("checkpoint_id", "run_id", "gate_id", "status", "risk", "summary", "expires_at")
Status = Literal["pending", "approved", "denied", "expired", "superseded", "all"]


@app.command(name="list")
def list_approvals(
    *, status: Status = "pending", project: str | None = None, limit: int = 50, connection: Connection = HERE
) -> None:
    """List what runs ask people, newest first.

    Example: `runwright approvals list`

    Parameters
    ----------
    status
        Those that stand so; default: those that wait for people.
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    asked = None if status == "all" else status
    with connection.client() as client:
        rows = client.approvals.list(status=asked, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def show(run: str, /, *, checkpoint: str | None = None, connection: Connection = HERE) -> None:
    """Show what a run asks people: the subject, a diff as it is, and its digest.

    Example: `runwright approvals show RUN`

    Parameters
    ----------
    run
        Id of the run.
    checkpoint
        Id of the approval; default: the one that waits, else the last one.
    """
    with connection.client() as client:
        found = _found(client, run, checkpoint)
    if connection.json:
        printing.show_json(found.raw)
    else:
        _show(found)


@app.command
def approve(
    run: str,
    /,
    *,
    checkpoint: str | None = None,
    digest: str | None = None,
    comment: str | None = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> None:
    """Approve what a run asks, about the subject of a digest: the one that is given, or that of what is shown now.

    Example: `runwright approvals approve RUN --digest "$SEEN" --comment "looks right"`

    Parameters
    ----------
    run
        Id of the run.
    checkpoint
        Id of the approval; default: the one that waits.
    digest
        SHA-256 of the subject that was looked at, as `approvals show` prints it; with it nothing is asked.
    comment
        Why.
    yes
        Do not ask.
    """
    _decide(connection, run, "approve", checkpoint, digest, comment, yes=yes)


@app.command
def deny(
    run: str,
    /,
    *,
    checkpoint: str | None = None,
    digest: str | None = None,
    comment: str | None = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> None:
    """Deny what a run asks: one denial is enough.

    Example: `runwright approvals deny RUN --comment "not before the release"`

    Parameters
    ----------
    run
        Id of the run.
    checkpoint
        Id of the approval; default: the one that waits.
    digest
        SHA-256 of the subject that was looked at, as `approvals show` prints it; with it nothing is asked.
    comment
        Why.
    yes
        Do not ask.
    """
    _decide(connection, run, "deny", checkpoint, digest, comment, yes=yes)


def _decide(
    connection: Connection,
    run: str,
    decision: Literal["approve", "deny"],
    checkpoint: str | None,
    digest: str | None,
    comment: str | None,
    *,
    yes: bool,
) -> None:
    """Send a decision with the digest of what the person saw: what changes meanwhile is not decided."""
    with connection.client() as client:
        found = _found(client, run, checkpoint)
        if digest is None:
            if not (connection.json or yes):
                _show(found)
            confirm(f"This will {decision} {found.checkpoint_id} ({found.subject_sha256}).", yes)
        made = client.approvals.decide(
            run, found.checkpoint_id, decision, digest or found.subject_sha256, comment=comment
        )
    if connection.json:
        printing.show_json(made.raw)
    else:
        printing.say(f"{made.checkpoint_id} is {made.status}")


def _found(client: Client, run: str, checkpoint: str | None) -> Approval:
    if run.startswith("apr_"):
        raise CommandError(f"{run} is an approval.", "Name its run: `runwright approvals list` shows both.")
    asked = list(client.approvals.of_run(run))
    named = [each for each in asked if checkpoint in (None, each.checkpoint_id)]
    waiting = [each for each in named if each.status == "pending"]
    if not named:
        what = "asked nothing" if checkpoint is None else f"never asked {checkpoint}"
        raise CommandError(f"The run {what}.", "See what waits with `runwright approvals list`.")
    return (waiting or named)[-1]


def _show(found: Approval) -> None:
    subject = dict(found.subject)
    diff = subject.pop("diff", None)
    required = found.required
    facts: list[tuple[str, Any]] = [
        ("checkpoint", found.checkpoint_id),
        ("gate", found.gate_id),
        ("status", found.status),
        ("risk", found.risk),
        ("summary", found.summary),
        ("asked by", found.requested_by),
        ("expires", found.expires_at),
        ("takes", f"{required.get('quorum')} of {', '.join(required.get('roles', []))}"),
        *((f"{each.decision} by", f"{each.name or each.actor}: {each.comment or '-'}") for each in found.decisions),
        *((f"subject {name}", value) for name, value in subject.items() if name != "sha256"),
        ("digest", found.subject_sha256),
    ]
    printing.detail(facts)
    if isinstance(diff, str):
        printing.say()
        printing.show_piece(diff if diff.endswith("\n") else f"{diff}\n")
