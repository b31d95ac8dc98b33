"""How much of its budgets an agent run has used, and what the next call of the model may use of the rest.

Its own limits are known by its log; budgets that it shares with other runs are looked at before each call, and once
more where the call's reservation is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from runwright.domain.agent_events import RUN_SCOPE, BudgetReached
from runwright.domain.agent_terms import LIMITS, AgentTerms
from runwright.domain.conversation import Conversation
from runwright.domain.model_call import ModelCall
from runwright.domain.price import cost_at_most
from runwright.domain.shared_budget import SharedBudget

WARN_PERCENT = 80
SECOND_US = 1_000_000

Limit = Literal["cost_microusd", "tokens", "turns", "tool_calls", "wall_s"]


class Room(msgspec.Struct, frozen=True):
    """What a call may use: tokens of output, and with those of its prompt so much money; None: nobody knows a price."""

    input_tokens_at_most: int
    max_output_tokens: int
    reserved_microusd: int | None


class Shared(msgspec.Struct, frozen=True):
    """The budgets that a run shares with others, as they stood a moment ago.

    A `patient` run waits where only what others have reserved is in its way: most of that will be free again.
    """

    budgets: Sequence[SharedBudget] = ()
    patient: bool = True


ALONE = Shared()


class Crowded(msgspec.Struct, frozen=True):
    """Say that what others have reserved of a budget leaves a call less room than it may come to have."""

    scope: str


class Unpriced(Exception):
    """Say that a limit of money cannot be kept with a model of no known price."""


def limit_of(terms: AgentTerms, talk: Conversation, name: str) -> int | None:
    """Return a limit; each time that a person let the run go on, there is as much again. None: it is not limited."""
    limit: int | None = getattr(terms.budget, name)
    return None if limit is None else limit * (1 + talk.granted.count(name))


def used_of(talk: Conversation, name: str, now: int) -> int:
    """Return how much of what a limit counts is used."""
    if name == "wall_s":
        return talk.executed_us(now) // SECOND_US
    used: int = getattr(talk.spent, name)
    return used


def warnings(
    terms: AgentTerms, talk: Conversation, now: int, shared: Shared = ALONE, percent: int = WARN_PERCENT
) -> tuple[BudgetReached, ...]:
    """Return what is to be warned of, and was not: limits of which so much is used."""
    own = [reached(terms, talk, name, now) for name in LIMITS]
    found = (each for each in (*own, *(budget.reached() for budget in shared.budgets)) if each is not None)
    return tuple(each for each in found if each.name not in talk.warned and _is_near(each, percent))


def _is_near(limit: BudgetReached, percent: int) -> bool:
    return limit.used * 100 >= limit.limit * percent


def reached(terms: AgentTerms, talk: Conversation, name: str, now: int) -> BudgetReached | None:
    """Return how far a limit is used; None for what is not limited."""
    limit = limit_of(terms, talk, name)
    if limit is None:
        return None
    return BudgetReached(scope=RUN_SCOPE, limit_name=name, used=used_of(talk, name, now), limit=limit)


def time_left_us(terms: AgentTerms, talk: Conversation, now: int) -> int | None:
    """Return how long the run may still execute; None: as long as it takes."""
    limit_s = limit_of(terms, talk, "wall_s")
    return None if limit_s is None else limit_s * SECOND_US - talk.executed_us(now)


def exceeded(terms: AgentTerms, talk: Conversation, name: str, more: int, now: int) -> BudgetReached | None:
    """Return the limit that does not have so much left; None where it has."""
    found = reached(terms, talk, name, now)
    return found if found is not None and found.used + more > found.limit else None


def room_for(
    terms: AgentTerms, talk: Conversation, call: ModelCall, now: int, shared: Shared = ALONE
) -> Room | BudgetReached | Crowded:
    """Return what a call may use, its output cut to what is left; or the limit that does not have even one token left.

    No limit is passed, whatever the model writes within its bounds. Raises `Unpriced`.
    """
    for name, more in (("turns", 1), ("wall_s", 1)):
        if (over := exceeded(terms, talk, name, more, now)) is not None:
            return over
    prompt, output = call.input_tokens_at_most(talk.counted), call.max_output_tokens
    tokens = reached(terms, talk, "tokens", now)
    if tokens is not None:
        output = min(output, tokens.limit - tokens.used - prompt)
        if output < 1:
            return tokens
    money = reached(terms, talk, "cost_microusd", now)
    if terms.price is None and (money is not None or shared.budgets):
        raise Unpriced
    if money is not None:
        output = _affordable(terms, prompt, output, money.limit - money.used)
        if output < 1:
            return money
    for budget in shared.budgets:
        cut = _affordable(terms, prompt, output, budget.left_microusd)
        if cut < output and budget.reserved_microusd and shared.patient:
            return Crowded(budget.scope)
        if cut < 1:
            return budget.reached()
        output = cut
    return Room(prompt, output, cost_at_most(terms.price, prompt, output))


def _affordable(terms: AgentTerms, prompt: int, output: int, left: int) -> int:
    """Return the most tokens of output, up to `output`, that what is left pays for; 0 where it pays for none."""
    least, most = 0, output
    while least < most:
        middle = (least + most + 1) // 2
        cost = cost_at_most(terms.price, prompt, middle)
        if cost is not None and cost <= left:
            least = middle
        else:
            most = middle - 1
    return least
