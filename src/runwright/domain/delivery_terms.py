"""What a delivery was asked to be: which tree of which run is committed, onto what, and how far it is taken.

All of it is pinned when the delivery is made: a run that goes on meanwhile changes nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from runwright.domain.approval import digest_of
from runwright.domain.repository import require_ref
from runwright.domain.workspace import WorkspaceSnapshot
from runwright.errors import InvalidRequest

Action = Literal["commit", "push", "open_pr"]
ACTIONS: tuple[Action, ...] = ("commit", "push", "open_pr")
"""What a delivery may do, each on top of the one before it."""
OnBaseMoved = Literal["stop", "deliver"]
OnNoDrafts = Literal["stop", "ready"]

Line = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
PersonName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f<>]*(?!\n)$")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>]+(?!\n)$")]
TrailerKey = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}(?!\n)$", max_length=64)]
Text = Annotated[str, Meta(max_length=32_768, pattern=r"^[^\x00]*$")]
Template = Annotated[str, Meta(min_length=1, max_length=1_024, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]

BRANCH = "omar/{run_id}"
TITLE = "{objective}"
BODY = "{objective}\n\n{report}Made by the run {run_id} from {base_sha}.\n"
OBJECTIVE = "Changes of the run {run_id}"
PLACES = frozenset({"run_id", "objective", "base_sha", "tree_hash"})
BODY_PLACES = PLACES | {"report"}
PLACES_MAX = 16
"""Places of one template: an objective may be long."""
_SUBJECT_MAX = 72
_NOT_IN_SUBJECT = re.compile(r"[\x00-\x1f\x7f]+")


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told to have made a commit."""

    name: PersonName = "Runwright"
    email: Email = "runwright@localhost"


COMMITTER = Author()


class PullRequestTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pull request to be opened; `base` None: the branch that the run was checked out from, or the default one.

    `body` is what was made of `body_template`; of a delivery of before, None.
    """

    title: str
    body: str
    body_template: str | None = None
    base: str | None = None
    draft: bool = True
    if_no_drafts: OnNoDrafts = "stop"
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()


class DeliveryTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The terms of a delivery. `snapshot` is what is delivered, `laid_hash` the tree that the run began with, of the
    commit `base_sha` (None: of a repository without any); `at_s` dates the commit; `allowed_by`: what people approved
    of an earlier delivery that was the same, and did not come to its end; they were shown `allowed_commit`.

    `unable`: why it could not be begun as it was asked for; all that it does is to tell that.
    """

    run_id: str
    snapshot: WorkspaceSnapshot
    laid_hash: str
    base_sha: str | None
    actions: tuple[Action, ...]
    message: str
    author: Author
    at_s: int
    branch: str
    base: str | None = None
    if_base_moved: OnBaseMoved = "stop"
    pull_request: PullRequestTerms | None = None
    allowed_by: str | None = None
    allowed_commit: str | None = None
    unable: str | None = None


def unbegun(terms: DeliveryTerms, why: str) -> DeliveryTerms:
    """Return the terms of a delivery that tells why it could not be begun, without the words that were asked for."""
    return replace(terms, unable=why, message="", author=Author(), pull_request=None)


def identity(terms: DeliveryTerms) -> str:
    """Return the digest of what a delivery is: equal ones are one, in whatever words a version tells of a tree."""
    terms = replace(terms, allowed_by=None, allowed_commit=None)
    if terms.pull_request is not None and terms.pull_request.body_template is not None:
        terms = replace(terms, pull_request=replace(terms.pull_request, body=""))
    return digest_of(msgspec.to_builtins(terms))


def require_actions(actions: tuple[Action, ...], path: str) -> tuple[Action, ...]:
    """Return actions in their order. Raises `InvalidRequest` where one is missing below another, or none is named."""
    wanted = tuple(action for action in ACTIONS if action in actions)
    if not wanted or wanted != ACTIONS[: len(wanted)]:
        raise InvalidRequest.at(path, "name commit, then push, then open_pr: each needs the one before it")
    return wanted


def require_template(template: str, path: str, known: frozenset[str] = PLACES) -> str:
    """Return a template. Raises `InvalidRequest` for one with a place that nothing fills, or with too many."""
    try:
        places = [(name, spec, how) for _, name, spec, how in Formatter().parse(template) if name is not None]
    except ValueError as wrong:
        raise InvalidRequest.at(path, f"is no template: {wrong}; write {{{{ for a brace") from None
    for name, spec, how in places:
        if name not in known or spec or how:
            raise InvalidRequest.at(path, f"has places for {', '.join(sorted(known))} only, not for {name!r}")
    if len(places) > PLACES_MAX:
        raise InvalidRequest.at(path, f"has {len(places)} places, and may have {PLACES_MAX}")
    return template


def filled(template: str, places: Mapping[str, str]) -> str:
    """Return a template with its places filled."""
    return template.format_map(places)


def require_branch(branch: str, path: str) -> str:
    """Return the name of a branch. Raises `InvalidRequest` for what is none."""
    try:
        require_ref(branch)
    except InvalidRequest:
        raise InvalidRequest.at(path, f"{branch[:200]!r} is no name of a branch") from None
    if branch.startswith("refs/") or branch == "HEAD":
        raise InvalidRequest.at(path, "name a branch without refs/heads/ before it")
    return branch


def objective_of(run_id: str, objective: str) -> str:
    """Return what a run is about, in one line that fits above a commit."""
    line = _NOT_IN_SUBJECT.sub(" ", objective).strip() or OBJECTIVE.format(run_id=run_id)
    return line if len(line) <= _SUBJECT_MAX else f"{line[: _SUBJECT_MAX - 1]}…"


def message_of(message: str, run_id: str, author: Author, trailers: Mapping[str, str], *, signoff: bool) -> str:
    """Return the message of a commit with its trailers; the last one names the run."""
    lines = [f"{key}: {value}" for key, value in trailers.items()]
    lines += [f"Signed-off-by: {author.name} <{author.email}>"] if signoff else []
    lines.append(f"Runwright-Run: {run_id}")
    return f"{message.rstrip()}\n\n" + "\n".join(lines) + "\n"
