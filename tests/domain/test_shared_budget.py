"""Budgets that runs share: whatever is reserved, settled and given up, in any order, no limit is passed."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runwright.domain import next_step as n
from runwright.domain import shared_budget as b
from runwright.domain import spending
from runwright.domain.agent_terms import Budget
from runwright.domain.conversation import NOTHING_SAID
from runwright.domain.instants import DAY_US
from runwright.domain.model_call import Message, ModelCall, Text, Usage
from runwright.domain.price import cost
from runwright.domain.spending import Crowded, Room, Shared
from tests.domain.conversing import TERMS, Answer, Play

T0 = 20_000 * DAY_US
amounts = st.integers(0, 2_000)


def budget(limit: int, scope: b.Scope = "project", **more: int) -> b.SharedBudget:
    return b.SharedBudget(
        budget_key=b.key_of(scope, "proj_1", "thr_1"),
        budget_id="bud_1",
        org_id="org_1",
        project_id="proj_1",
        scope=scope,
        thread_id="thr_1" if scope == "thread" else None,
        limit_microusd=limit,
        window_at=T0 if scope == "day" else None,
        created_at=T0,
        created_by="user:user_1",
        updated_at=T0,
        **more,
    )


class Spending(RuleBasedStateMachine):
    """Calls begin where they fit, and end at what they cost, or at what was reserved; days go by."""

    @initialize(limit=st.integers(2_000, 10_000), scope=st.sampled_from(["day", "project"]))
    def begin(self, limit: int, scope: b.Scope) -> None:
        self.budget = budget(limit, scope)
        self.now = T0
        self.open: list[int] = []
        self.today = 0

    @rule(amount=amounts)
    def reserve(self, amount: int) -> None:
        self.budget = self.budget.at(self.now)
        if self.budget.fits(amount):
            self.budget = self.budget.reserve(amount)
            self.open.append(amount)
        else:
            assert self.today + sum(self.open) + amount > self.budget.limit_microusd

    @rule(share=st.integers(0, 100), place=st.integers(0, 50))
    def settle(self, share: int, place: int) -> None:
        if self.open:
            amount = self.open.pop(place % len(self.open))
            self.budget = self.budget.at(self.now).settle(amount, amount * share // 100)
            self.today += amount * share // 100

    @rule(place=st.integers(0, 50))
    def abandon(self, place: int) -> None:
        if self.open:
            amount = self.open.pop(place % len(self.open))
            self.budget = self.budget.at(self.now).settle(amount, amount)
            self.today += amount

    @rule(hours=st.sampled_from([1, 12, 24]))
    def pass_time(self, hours: int) -> None:
        was, self.now = b.day_of(self.now), self.now + hours * 3_600_000_000
        if self.budget.scope == "day" and b.day_of(self.now) != was:
            self.today = 0

    @invariant()
    def nothing_is_over(self) -> None:
        if hasattr(self, "budget"):
            standing = self.budget.at(self.now)
            assert standing.settled_microusd == self.today
            assert standing.reserved_microusd == sum(self.open)
            assert standing.settled_microusd + standing.reserved_microusd <= standing.limit_microusd
            assert standing.left_microusd >= 0

    def teardown(self) -> None:
        while getattr(self, "open", None):
            self.abandon(0)
        if hasattr(self, "budget"):
            assert self.budget.reserved_microusd == 0


Spending.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
test_whatever_is_reserved_settled_and_given_up_no_limit_is_passed = Spending.TestCase


def test_a_clock_that_went_back_gives_nothing_back():
    spent = budget(100, "day", settled_microusd=60)
    assert spent.at(T0 - 1) == spent.at(T0 + DAY_US - 1) == spent
    assert (spent.at(T0 + DAY_US).settled_microusd, spent.at(T0 + DAY_US).resets_at) == (0, T0 + 2 * DAY_US)


@given(st.permutations(["thread", "day", "project"]))
def test_keys_of_a_project_stand_together_and_in_one_order(scopes):
    keys = [b.key_of(scope, "proj_1", "thr_1") for scope in scopes]
    assert tuple(sorted(keys)) == b.keys_of("proj_1", "thr_1")
    assert all(key < b.key_of("day", "proj_2") for key in keys)


# --- what a call may use ----------------------------------------------------------------------------------------------

PROMPT = ModelCall(
    provider="scripted", model="story", messages=(Message("user", (Text("Tell me."),)),), max_output_tokens=100
)


@settings(max_examples=100)
@given(st.integers(1, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_no_call_is_allowed_more_than_is_left_of_any_budget(limit, settled, reserved):
    shared = budget(limit, settled_microusd=settled, reserved_microusd=reserved)
    room = spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0, Shared([shared], patient=False))
    if isinstance(room, Room):
        dearest = Usage(input_tokens=room.input_tokens_at_most, output_tokens=room.max_output_tokens)
        assert (cost(TERMS.price, dearest) or 0) <= (room.reserved_microusd or 0) <= shared.left_microusd
    else:
        assert room == shared.reached()


def test_who_is_patient_waits_for_what_others_have_reserved_and_not_for_what_is_spent():
    whole = spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0)
    assert isinstance(whole, Room)
    need = whole.reserved_microusd or 0
    crowded = budget(need + 50, reserved_microusd=100)
    assert spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0, Shared([crowded])) == Crowded("project")
    cut = spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0, Shared([crowded], patient=False))
    assert isinstance(cut, Room)
    assert cut.max_output_tokens == 75
    spent = budget(need + 50, settled_microusd=100)
    assert spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0, Shared([spent])) == cut
    assert spending.room_for(TERMS, NOTHING_SAID, PROMPT, 0, Shared([budget(need)])) == whole


def test_a_model_without_a_price_spends_from_no_budget():
    play = Play([Answer("The end.")], terms=msgspec.structs.replace(TERMS, price=None))
    step = n.next_step(play.talk, play.stage, 0, Shared([budget(1_000_000)]))
    assert isinstance(step, n.Fail)
    assert step.code == n.UNPRICED


def test_a_budget_that_is_spent_is_warned_of_and_then_asked_about_until_it_is_raised():
    play = Play([Answer("The end.")], budget=Budget(on_exceeded="ask"))
    spent = Shared([budget(1_000, settled_microusd=999)])
    warn = n.next_step(play.told, play.stage, 0, spent)
    assert isinstance(warn, n.Warn)
    play._do(warn)
    exhaust = n.next_step(play.told, play.stage, 0, spent)
    assert isinstance(exhaust, n.Exhaust)
    assert exhaust.limit.scope == "project"
    play._do(exhaust)
    asks = n.next_step(play.told, play.stage, 0, spent)
    assert isinstance(asks, n.AskPerson)
    assert "Raise the budget" in asks.prompt
    play._do(asks)
    raised = Shared([budget(1_000_000, settled_microusd=999)])
    assert isinstance(n.next_step(play.told, play.stage, 0, raised), n.CallModel)
    assert isinstance(n.next_step(play.told, play.stage, 0, spent), n.Warn), "nothing was granted but another look"


def test_a_run_that_may_not_ask_fails():
    play = Play([Answer("The end.")])
    spent = Shared([budget(1, settled_microusd=1)])
    for kind in (n.Warn, n.Exhaust):
        step = n.next_step(play.told, play.stage, 0, spent)
        assert isinstance(step, kind)
        play._do(step)
    step = n.next_step(play.told, play.stage, 0, spent)
    assert isinstance(step, n.Fail)
    assert (step.reason, step.code) == ("budget", n.EXHAUSTED)
