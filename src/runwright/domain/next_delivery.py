"""What a delivery does next, decided by how far it has come: pure, so that whoever takes it over decides the same."""

from __future__ import annotations

import msgspec

from runwright.domain.course import Course
from runwright.domain.delivery_events import DeliveryCourse
from runwright.domain.delivery_terms import Action, DeliveryTerms
from runwright.domain.verdict import Stop


class Prepare(msgspec.Struct, frozen=True):
    """Make the commit, for people to see what they are asked."""


class Ask(msgspec.Struct, frozen=True):
    """Ask people to allow the commit, and all that is done with it."""


class Act(msgspec.Struct, frozen=True):
    """Do an action that was allowed."""

    action: Action
    checkpoint_id: str


class Decline(msgspec.Struct, frozen=True):
    """Tell why it could not be begun."""

    why: str


class Finish(msgspec.Struct, frozen=True):
    """End."""

    stop: Stop


Move = Prepare | Ask | Act | Decline | Finish


def next_delivery(terms: DeliveryTerms, course: Course) -> Move:
    """Return what is to be done next."""
    came = course.delivery or DeliveryCourse()
    if course.denied is not None:
        return Finish(Stop(course.denied))
    if came.refused is not None:
        return Finish(Stop(came.refused.code, came.refused.message))
    if terms.unable is not None:
        return Decline(terms.unable)
    if came.prepared is None:
        return Prepare()
    allowed = allowed_by(terms, course)
    if allowed is None:
        return Ask()
    for action in terms.actions:
        if not came.has_done(action):
            return Act(action, allowed)
    return Finish(Stop("NONE"))


def allowed_by(terms: DeliveryTerms, course: Course) -> str | None:
    """Return the approval by which a delivery goes on; None while there is none. One of an earlier delivery holds for
    the commit that people were shown then, and for no other.
    """  # fmt: skip
    given = [ident for ident, word in course.decided.items() if word == "approved"]
    prepared = None if course.delivery is None else course.delivery.prepared
    shown = prepared is not None and prepared.commit_sha == terms.allowed_commit
    return given[0] if given else terms.allowed_by if shown else None
