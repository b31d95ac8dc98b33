"""`runwright loop`: remediation loops over repositories."""

import sys
from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import order_of, words
from runwright.client.loop_models import LoopDelivery

Mode = Literal["edit_gated", "autonomous_gated"]
app = App(name="loop", help="Repair repositories: patch, verify, keep or put back, until clean or a ceiling stops it.")
COLUMNS = ("n", "patcher", "outcome", "files", "lines", "why")
ACTIONS = ["commit", "push", "open_pr"]
EXITS = {"clean": 0, "approval_denied": 13, "approval_expired": 13, "infra_error": 10}
"""The exit code of `watch` by the reason for which the loop ended; 1 for every other."""


@app.command
def start(
    repo: str | None = None,
    /,
    *,
    order: str | None = None,
    run: str | None = None,
    ref: str | None = None,
    mode: Mode | None = None,
    gate: tuple[str, ...] = (),
    model: str | None = None,
    max_iterations: int | None = None,
    deliver: Literal["commit", "push", "open_pr"] | None = None,
    branch: str | None = None,
    base: str | None = None,
    idempotency_key: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Start a loop over a repository.

    Example: `runwright loop start https://example.com/shop.git --gate "make test" --deliver open_pr`

    Parameters
    ----------
    repo
        What is repaired: an http(s) address, or a path that the server takes.
    order
        The whole order as JSON, @file or - (standard input); other options go on top of it.
    run
        A runtime run instead of a repository: what it looked at is repaired.
    ref
        A branch, a tag or a commit of the repository.
    mode
        With edit_gated people approve each patch.
    gate
        A command that must be green, in words as a shell would split them; may be given again.
    model
        The route of the model that makes patches where no fixer does, or auto; default: none is asked.
    max_iterations
        So many patches are tried, at most.
    deliver
        What becomes of its tree by itself if it ends clean: people are asked first, and then it is done up to this.
    branch
        What the branch is called that it is pushed to; default: omar/{run_id}.
    base
        The branch that the pull request is for.
    idempotency_key
        A name for this order: the same one finds the loop that it started.
    """
    asked = order_of(order, model, repo=repo, run_id=run, ref=ref, mode=mode, max_iterations=max_iterations)
    if gate:
        gates = [{"id": f"gate-{at}", "command": words(each, "--gate")} for at, each in enumerate(gate, 1)]
        asked["quality_gates"] = gates
    asked |= delivering(asked.get("deliver"), deliver, branch, base)
    with connection.client() as client:
        printing.show_record(client.loops.start(idempotency_key=idempotency_key, **asked), connection.json)


@app.command
def status(
    loop: str, /, *, wait: float | None = None, since_seq: int | None = None, connection: Connection = HERE
) -> None:
    """Show where a loop stands.

    Example: `runwright loop status run_019a9f3c2b107abc8def0123456789ab`

    Parameters
    ----------
    wait
        Wait at most so many seconds for something new.
    since_seq
        What is new comes after this; default: now.
    """
    with connection.client() as client:
        printing.show_record(client.loops.get(loop, wait=wait, since_seq=since_seq), connection.json)


@app.command
def watch(loop: str, /, *, connection: Connection = HERE) -> None:
    """Wait for the end of a loop, and of its delivery up to where people are asked, and show what it tried.

    Exits 0 where it is clean, 13 where people did not approve, 10 where it could not do its job, else 1.

    Example: `runwright loop watch run_019a9f3c2b107abc8def0123456789ab`
    """
    with connection.client() as client:
        ended = client.loops.wait(loop)
    if connection.json:
        printing.show_record(ended, as_json=True)
    else:
        printing.table(COLUMNS, [_row(each) for each in ended.iterations])
        printing.show_rows([ended], ("loop_id", "state", "exit_reason", "gate_status", "iteration"), as_json=False)
        _show_delivery(ended.delivery)
    sys.exit(EXITS.get(ended.exit_reason or "", 1))


def delivering(order: Any, action: str | None, branch: str | None, base: str | None) -> dict[str, Any]:
    """Return the part of an order that says what becomes of the tree, with the options on top of it."""
    named = (("branch", "template", branch), ("pr", "base", base))
    if action is None and all(value is None for _, _, value in named):
        return {}
    asked = dict(order) if isinstance(order, dict) else {}
    if action is not None:
        asked["actions"] = ACTIONS[: ACTIONS.index(action) + 1]
    for part, name, value in named:
        if value is not None:
            asked[part] = {**asked.get(part, {}), name: value}
    return {"deliver": asked}


def _show_delivery(delivery: LoopDelivery | None) -> None:
    if delivery is None:
        return
    url = None if delivery.pr is None else delivery.pr.get("url")
    facts = {"delivery": delivery.state, "delivery_run_id": delivery.delivery_run_id, "commit_sha": delivery.commit_sha}
    printing.detail([*facts.items(), ("branch", delivery.branch), ("pull_request", url)])
    if delivery.state == "awaiting_approval":
        printing.note(f"see what is asked: runwright approvals show {delivery.delivery_run_id}")
    elif delivery.error is not None:
        printing.note(f"{delivery.error.code}: {delivery.error.message}")


def _row(each: dict[str, object]) -> list[object]:
    patch = each.get("patch")
    size = patch if isinstance(patch, dict) else {}
    lines = f"+{size.get('added', 0)} -{size.get('removed', 0)}"
    return [each.get("n"), each.get("patcher"), each.get("outcome"), size.get("files", 0), lines, each.get("why")]
