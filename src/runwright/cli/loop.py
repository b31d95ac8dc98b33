"""`runwright loop`: remediation loops over repositories."""

import json
from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import CommandError
from runwright.cli.inputs import order_of, words
from runwright.cli.remedying import follow, show

Mode = Literal["edit_gated", "autonomous_gated"]
app = App(name="loop", help="Repair repositories: patch, verify, keep or put back, until clean or a ceiling stops it.")
ACTIONS = ["commit", "push", "open_pr"]
EXITS = {"clean": 0, "approval_denied": 13, "approval_expired": 13, "infra_error": 10}
"""The exit code of `watch` by the reason for which the loop ended; 1 for every other."""
UNDELIVERED = {"denied": 13, "failed": 10}
"""The exit code of `watch` for a loop that is clean, by the state of its delivery."""


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
        shown = client.loops.get(loop, wait=wait, since_seq=since_seq)
    printing.show_record(shown, as_json=True) if connection.json else show(shown)


@app.command
def watch(loop: str, /, *, connection: Connection = HERE) -> int:
    """Show what a loop does as it does it, until it ends, and its delivery up to where people are asked.

    Exits 0 where it is clean, 13 where people did not approve it or its delivery, 10 where one of them could not do
    its job, else 1.

    Example: `runwright loop watch run_019a9f3c2b107abc8def0123456789ab`
    """
    with connection.client() as client:
        ended = client.loops.wait(loop) if connection.json else follow(client, loop)
    printing.show_record(ended, as_json=True) if connection.json else show(ended)
    code = EXITS.get(ended.exit_reason or "", 1)
    return code or UNDELIVERED.get("" if ended.delivery is None else ended.delivery.state, 0)


@app.command
def diff(loop: str, /, *, iteration: int | None = None, connection: Connection = HERE) -> None:
    """Show the patches that a loop has kept, one behind the other; each is over the tree that the one before it left.

    Example: `runwright loop diff run_019a9f3c2b107abc8def0123456789ab`

    Parameters
    ----------
    iteration
        The patch of this iteration instead, whatever became of it.
    """
    with connection.client() as client:
        tried = client.loops.get(loop).iterations
        wanted = [
            each["n"]
            for each in tried
            if each.get("patch") and (each["outcome"] == "kept" if iteration is None else each["n"] == iteration)
        ]
        if not wanted:
            raise CommandError("There is no such patch.", f"See what it tried: runwright loop status {loop}")
        whole = [json.loads(b"".join(client.evidence.value(loop, f"{loop}.patch.{n}"))) for n in wanted]
    if connection.json:
        printing.show_json([{"iteration": n, **each} for n, each in zip(wanted, whole, strict=True)])
    for each in () if connection.json else whole:
        printing.show_piece(each["diff"])


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
