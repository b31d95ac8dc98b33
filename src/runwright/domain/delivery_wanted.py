"""What is wanted of a delivery: by a caller, or by the order of a loop. Terms are made of it when there is a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from runwright.domain import delivery_terms as t
from runwright.errors import InvalidRequest

When = Literal["clean", "passed"]


class CommitOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the commit is to be; a message of None: what the run is about."""

    message: str | None = None
    author: t.Author = t.Author()
    signoff: bool = False
    trailers: dict[str, str] = {}


class PullRequestOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the pull request is to be."""

    title: str = t.TITLE
    body_template: str = t.BODY
    base: str | None = None
    draft: bool = True
    if_no_drafts: t.OnNoDrafts = "stop"
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to become of one run."""

    actions: tuple[t.Action, ...] = ("commit",)
    commit: CommitOrder = CommitOrder()
    branch: str = t.BRANCH
    pull_request: PullRequestOrder = PullRequestOrder()
    if_base_moved: t.OnBaseMoved = "stop"


class LoopDelivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to become of a loop by itself, once it has ended: clean, or with a verdict that is `passed`."""

    wanted: Wanted = Wanted()
    when: When = "clean"


def require_wanted(wanted: Wanted, above: str = "") -> Wanted:
    """Return what is wanted of a run, its actions in order. Raises `InvalidRequest` for what nobody could do.

    `above` stands before the name of what is wrong: it is a part of something larger.
    """
    places = dict.fromkeys(t.PLACES, "x")
    branch = f"{above}branch.template"
    t.require_branch(t.filled(t.require_template(wanted.branch, branch), places), branch)
    asked = wanted.pull_request
    t.require_template(asked.title, f"{above}pr.title")
    t.require_template(asked.body_template, f"{above}pr.body_template", t.BODY_PLACES)
    if asked.base is not None:
        t.require_branch(asked.base, f"{above}pr.base")
    if wanted.commit.message is not None:
        if not wanted.commit.message.strip():
            raise InvalidRequest.at(f"{above}commit.message", "says nothing")
        t.require_template(wanted.commit.message, f"{above}commit.message")
    return replace(wanted, actions=t.require_actions(wanted.actions, f"{above}actions"))


def require_opened(wanted: Sequence[Wanted], path: str) -> None:
    """Raise `InvalidRequest` where it is said how a pull request is to be, and none is opened.

    The branch that it is for is no part of that: it is also the one that may not have gone on since.
    """
    if any("open_pr" in each.actions for each in wanted):
        return
    if any(replace(each.pull_request, base=None) != PullRequestOrder() for each in wanted):
        raise InvalidRequest.at(path, "says how a pull request is to be, and none is opened: add open_pr to actions")
