"""Build the commit of a delivery out of its snapshot and its base, and show people what it changes.

It is the same each time, so it is built anew wherever it is needed, and nothing of it has to be carried over.
"""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from runwright.domain.approval import DECIDERS, ApprovalRequest, digest_of
from runwright.domain.commit_plan import NOWHERE, Change, Lies, NothingNew, Onto, Planned, planned
from runwright.domain.delivery_terms import DeliveryTerms
from runwright.domain.git_objects import Conflict
from runwright.domain.policy_approvals import ApprovalRules
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.executors.delivery.allowing import policy_of, require_scope, rules_of
from runwright.forges.port import Refused
from runwright.sandbox import beneath
from runwright.sandbox.checkout import Base, Repositories
from runwright.sandbox.child import NotStarted
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.snapshot import DIRECTORY, EMPTY, Entry, Limits, Tree, TreeRefused, WorkspaceMismatch, contents
from runwright.sandbox.surely import whole

GATES = {"commit": "commit", "push": "push", "open_pr": "open_pr"}
DIFF_MAX, NAMES_MAX, BODY_MAX = 131_072, 49_152, 24_576
"""Bytes, as JSON, of what people are shown: of the diff, of the names of files, of the text of the pull request."""
FILE_MAX, LINES_MAX = 262_144, 2_000


class Built(NamedTuple):
    """A commit, its diff as far as it is shown, and what it takes that people allow it."""

    plan: Planned
    diff: str
    rules: ApprovalRules = ApprovalRules()


async def build(
    terms: RuntimeTerms, load: Callable[[], Awaitable[bytes]], repositories: Repositories | None, limits: Limits
) -> Built:
    """Return the commit of a delivery; `load` gives the archive of its snapshot. Raises `Refused`."""
    delivery = terms.delivery
    assert delivery is not None
    try:
        archive = await load()
        files = await whole(asyncio.to_thread(lambda: list(lying(archive, delivery, limits))))
        if delivery.base_sha is None or terms.repo is None:
            return await whole(asyncio.to_thread(_built, delivery, files, None, None))
        if repositories is None:
            raise Refused("TOOL_FAILED", "no sandbox works on this server, in which git could read the repository")
        return await repositories.look_back(
            terms.repo, delivery.base_sha, lambda base, place: _built(delivery, files, base, place)
        )
    except NothingNew:
        raise Refused("NOTHING_TO_COMMIT", "the tree is that of the commit that the run began with") from None
    except Conflict as what:
        message = f"{what} lies where the checkout had left something out; nothing is written over what no run has seen"
        raise Refused("TOOL_FAILED", message, retryable=False) from None
    except WorkspaceMismatch as why:
        raise Refused("WORKSPACE_MISSING", str(why)) from None
    except (CheckoutRefused, TreeRefused) as why:
        again = isinstance(why, CheckoutRefused) and why.retryable
        raise Refused("TOOL_FAILED", f"the commit that the run began with: {why}", retryable=again) from None
    except NotStarted as why:
        raise Refused("TOOL_FAILED", f"the sandbox: {why}", retryable=True) from None


def lying(archive: bytes, delivery: DeliveryTerms, limits: Limits) -> Iterator[Lies]:
    """Yield what a snapshot holds, once it is known to be the one that was named. Raises `WorkspaceMismatch`."""
    if sha256(archive).hexdigest() != delivery.snapshot.archive_sha256:
        raise WorkspaceMismatch("the run has another snapshot by now")
    entries: list[Entry] = []
    found: list[Lies] = []
    for entry, content in contents(archive, limits):
        entries.append(entry)
        if entry.kind != DIRECTORY:
            found.append(Lies(entry.path, entry.kind, content))
    if Tree(tuple(entries)).digest != delivery.snapshot.tree_hash:
        raise WorkspaceMismatch("the snapshot holds another tree than it was kept for")
    yield from found


def _built(delivery: DeliveryTerms, files: list[Lies], base: Base | None, place: Path | None) -> Built:
    laid = EMPTY if base is None else base.tree_hash
    if laid != delivery.laid_hash:
        message = "the checkout leaves out other files of the commit than when the run began: its bounds were changed"
        raise Refused("TOOL_FAILED", message, retryable=False)
    onto = NOWHERE if base is None else Onto(base.leaves, base.kept, base.root)
    plan, policy = planned(delivery, onto, files), policy_of(base, place)
    require_scope(policy, plan.changes)
    return Built(plan, "".join(_diff(plan, place)), rules_of(policy, delivery.actions))


def _diff(plan: Planned, place: Path | None) -> Iterator[str]:
    left = DIFF_MAX
    for count, change in enumerate(plan.changes):
        if left <= 0:
            yield f"… {len(plan.changes) - count} more files change\n"
            return
        text = within(_shown(change, place), left)
        left -= _size(text)
        yield text if text.endswith("\n") else f"{text}\n… the rest is left out\n"


def within(text: str, most: int) -> str:
    """Return as much of the beginning of a text as takes at most so many bytes as JSON."""
    while (size := _size(text)) > most:
        text = text[: len(text) * most // size]
    return text


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))


def _shown(change: Change, place: Path | None) -> str:
    before = b"" if change.status == "added" else _before(change, place)
    after = change.content or b""
    name = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in change.path)
    head = f"{change.status} {name} ({change.mode})\n"
    try:
        old, new = _lines(before), _lines(after)
    except UnicodeDecodeError:
        return f"{head}no text: {len(before)} bytes before, {len(after)} after\n"
    if max(len(before), len(after)) > FILE_MAX or max(len(old), len(new)) > LINES_MAX:
        return f"{head}too long to be shown: {len(old)} lines before, {len(new)} after\n"
    names = (
        "/dev/null" if change.status == "added" else f"a/{name}",
        f"b/{name}" if change.content is not None else "/dev/null",
    )
    lines = difflib.unified_diff(old, new, *names)
    return head + "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(content: bytes) -> list[str]:
    """Return the lines of a file as git has them: nothing else than a line feed ends one."""
    lines = content.decode().split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *lines[-1:]] if lines[-1] else [f"{line}\n" for line in lines[:-1]]


def _before(change: Change, place: Path | None) -> bytes:
    if place is None:
        return b""
    *parents, name = change.path.split("/")
    try:
        with (
            beneath.directory(place, tuple(parents)) as fd,
            os.fdopen(beneath.opened(fd, name, change.path), "rb") as file,
        ):
            return file.read(FILE_MAX + 1)
    except (OSError, beneath.Outside):
        return b""


def asks(terms: RuntimeTerms, built: Built, ttl_s: int) -> ApprovalRequest:
    """Return what people are asked: to allow this commit, and what is done with it."""
    delivery, plan, rules = terms.delivery, built.plan, built.rules
    assert delivery is not None
    subject: dict[str, Any] = {
        "kind": "diff",
        "run_id": delivery.run_id,
        "repo": terms.repo,
        "base_sha": delivery.base_sha,
        "head_sha": plan.commit,
        "tree_sha": plan.tree,
        "tree_hash": delivery.snapshot.tree_hash,
        "branch": delivery.branch,
        "actions": list(delivery.actions),
        "pull_request": msgspec.to_builtins(delivery.pull_request),
        "stats": msgspec.to_builtins(plan.counts()),
        "files": [{"path": each.path, "status": each.status} for each in plan.changes],
    }
    last, counts = delivery.actions[-1], plan.counts()
    what = {"commit": "Commit", "push": "Commit and push", "open_pr": "Commit, push and open a pull request for"}[last]
    told = f"{counts.added} added, {counts.changed} changed, {counts.deleted} deleted"
    return ApprovalRequest(
        gate_id=GATES[last],
        summary=f"{what} the changes of {delivery.run_id} ({told}) as {delivery.branch}?",
        subject_sha256=digest_of(subject),
        subject=_seen(subject, built.diff),
        risk="medium" if last == "commit" else "high",
        quorum=rules.quorum,
        roles=rules.roles or DECIDERS,
        exclude_actors=rules.exclude_actors,
        ttl_s=min(ttl_s, rules.ttl_seconds or ttl_s),
        evidence_refs=(delivery.run_id,),
    )


def _seen(subject: dict[str, Any], diff: str) -> dict[str, Any]:
    """Return a subject as people are shown it: what is long is cut, and its digest is of the whole."""
    files: list[dict[str, str]] = []
    left = NAMES_MAX
    for file in subject["files"]:
        left -= _size(file) + 1
        if left < 0:
            break
        files.append(file)
    asked = subject["pull_request"]
    if asked is not None:
        asked = {**asked, "body": within(asked["body"], BODY_MAX)}
    more = len(subject["files"]) - len(files)
    return {**subject, "files": files, "files_left_out": more, "pull_request": asked, "diff": diff}
