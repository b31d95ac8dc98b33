"""`runwright checkpoint`: commit, push and open pull requests for what runs made."""

from typing import Any, Literal

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK
from runwright.cli.inputs import json_object
from runwright.client.delivery_models import Delivered

COLUMNS = ("run_id", "status", "commit", "branch", "pull request", "why")


def checkpoint(
    run: str,
    /,
    *others: str,
    push: bool = False,
    open_pr: bool = False,
    on_error: Literal["continue", "fail_fast"] = "continue",
    message: str | None = None,
    branch: str | None = None,
    base: str | None = None,
    order: str | None = None,
    ask_again: bool = False,
    dry_run: bool = False,
    connection: Connection = HERE,
) -> int:
    """Deliver what runs made, as commits, once people have allowed it.

    Example: `runwright checkpoint "$RUN" --open-pr`

    Parameters
    ----------
    run
        A run that has ended or is paused; others may follow.
    push
        Push each commit to a branch of its own.
    open_pr
        Push, and open a pull request, as a draft.
    on_error
        Whether runs are delivered although one before them was not.
    message
        Of the commit; default: what the run is about.
    branch
        What the branch is called; default: omar/{run_id}.
    base
        The branch that the pull request is for.
    order
        The whole order as JSON, @file or - (standard input); other options go on top of it.
    ask_again
        Ask people once more what they have denied.
    dry_run
        Show what would be done, and do nothing.
    """
    asked = json_object(order or "{}", "order")
    if push or open_pr:
        asked["actions"] = ["commit", "push", *(["open_pr"] if open_pr else [])]
    for part, name, value in (("commit", "message", message), ("branch", "template", branch), ("pr", "base", base)):
        if value is not None:
            asked[part] = {**asked.get(part, {}), name: value}
    asked |= {"ask_again": True} if ask_again else {}
    asked |= {"dry_run": True} if dry_run else {}
    found, raw = _made(connection, [run, *others], on_error, asked)
    if connection.json:
        printing.show_json(raw)
    else:
        _show(found)
    return OK if all(each.error is None for each in found) else FAILED


def _made(
    connection: Connection, runs: list[str], on_error: Literal["continue", "fail_fast"], asked: dict[str, Any]
) -> tuple[list[Delivered], Any]:
    with connection.client() as client:
        if len(runs) > 1:
            made = client.deliveries.create(runs, on_error=on_error, **asked)
            return made.results, made.raw
        one = client.deliveries.of_run(runs[0], **asked)
        return [one], one.raw


def _show(found: list[Delivered]) -> None:
    rows: list[list[Any]] = []
    for each in found:
        why = None if each.error is None else f"{each.error.code}: {each.error.message}"
        url = None if each.pr is None else each.pr.get("url")
        rows.append([each.run_id, each.status, (each.commit_sha or "")[:12] or None, each.branch, url, why])
    printing.table(COLUMNS, rows)
    for each in found:
        if each.error is not None and each.error.code == "APPROVAL_MISSING":
            printing.note(f"see what is asked: runwright approvals show {each.delivery_run_id}")
