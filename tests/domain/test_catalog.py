"""Which model is asked: filters before scores, every term shown, unknown never free, and the same order each time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.catalog import (
    ROLES,
    WEIGHTS,
    Candidate,
    Needs,
    Role,
    allowed,
    blended,
    choose,
    excluded,
    ranking,
)
from runwright.domain.histogram import histogram_of
from runwright.domain.kpi_sums import Rate, Spread, Sums
from runwright.domain.price import Price, Rates


def price(input: int, output: int) -> Price:
    return Price(rates=Rates(input=input, cached=input, output=output), source="table 1")


def past(completed: int, runs: int, seconds: int = 10) -> Sums:
    return Sums(
        ended=runs,
        rates={"success_rate": Rate(completed, runs)},
        spreads={"model_latency": Spread(0, histogram_of([seconds * 1_000_000] * runs))},
    )


def model(ident: str, **given: object) -> Candidate:
    usual = {"price": price(1_000_000, 1_000_000), "context_window": 8192, "capabilities": ("tools",)}
    return Candidate(id=ident, **{**usual, **given})  # type: ignore[arg-type]


CHEAP = model("cheap", price=price(100_000, 100_000))
DEAR = model("dear", price=price(10_000_000, 10_000_000))
UNKNOWN = model("unknown", price=None)
FREE = model("free", price=price(0, 0))
ANY = Needs()


def order(models: list[Candidate], role: Role = "subagent", needs: Needs = ANY) -> list[str]:
    return [each.id for each in ranking(models, role, needs)]


def test_of_models_that_differ_in_price_alone_the_cheaper_goes_first_and_the_unknown_is_not_free():
    assert order([UNKNOWN, DEAR, CHEAP, FREE]) == ["free", "cheap", "dear", "unknown"]


def test_own_success_weighs_against_price_and_few_runs_weigh_little():
    good, bad = model("good", past=past(98, 100)), model("bad", past=past(2, 100))
    lucky = model("lucky", past=past(1, 1))
    assert order([bad, lucky, good, model("new")]) == ["good", "lucky", "new", "bad"]


def test_a_faster_one_goes_before_a_slower_one():
    assert order([model("slow", past=past(5, 10, 60)), model("fast", past=past(5, 10, 1))]) == ["fast", "slow"]


@pytest.mark.parametrize(
    ("candidate", "needs", "reason"),
    [
        (model("a", missing="NO_PROVIDER"), Needs(), "NO_PROVIDER"),
        (model("a"), Needs(min_context=8193), "CONTEXT_TOO_SMALL"),
        (model("a"), Needs(min_context=8192), None),
        (model("a"), Needs(capabilities=("tools", "images")), "CAPABILITY_MISSING"),
        (model("a"), Needs(max_cost_microusd=1_000_000), None),
        (model("a"), Needs(max_cost_microusd=999_999), "TOO_EXPENSIVE"),
        (UNKNOWN, Needs(max_cost_microusd=10**12), "UNPRICED"),
        (UNKNOWN, Needs(), None),
    ],
)
def test_a_filter_comes_before_every_score(candidate: Candidate, needs: Needs, reason: str | None):
    assert excluded(candidate, needs) == reason
    assert (order([candidate], needs=needs) == []) == (reason is not None)
    assert choose([candidate], "judge", needs) == (None if reason else candidate.id)


def test_equal_scores_are_in_the_order_of_their_ids():
    assert order([model("b"), model("c"), model("a")]) == ["a", "b", "c"]


@given(st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_candidates(chance: random.Random):
    models = [CHEAP, DEAR, UNKNOWN, FREE, model("same"), model("also"), model("gone", missing="NOT_INSTALLED")]
    shuffled = list(models)
    chance.shuffle(shuffled)
    for role in ROLES:
        assert ranking(shuffled, role) == ranking(models, role)


def test_a_score_is_the_sum_of_its_terms_and_weights_are_one():
    for role in ROLES:
        assert sum(WEIGHTS[role].values()) == pytest.approx(1)
        for ranked in ranking([CHEAP, DEAR, UNKNOWN, FREE, model("a", past=past(3, 4))], role):
            assert ranked.score == pytest.approx(sum(term.worth * term.weight for term in ranked.terms.values()))
            assert all(0 <= term.worth <= 1 for term in ranked.terms.values())
            assert all(term.source for term in ranked.terms.values())


def test_a_term_says_what_it_stands_on():
    (ranked,) = ranking([model("a", past=past(3, 4, 20))], "orchestrator")
    success, latency = ranked.terms["own_success"], ranked.terms["own_latency"]
    assert (success.value, success.n) == (0.75, 4)
    assert success.worth == pytest.approx(4 / 6)
    assert (latency.value, latency.n) == (20.0, 4)
    assert latency.worth == pytest.approx(1 / 3)
    (fresh,) = ranking([UNKNOWN], "orchestrator")
    assert (fresh.terms["price"].value, fresh.terms["price"].n, fresh.terms["price"].worth) == (None, 0, 0.0)
    assert (fresh.terms["own_success"].value, fresh.terms["own_success"].worth) == (None, 0.5)


def test_a_policy_names_models_with_their_kind():
    assert allowed((), "openai", "gpt-5")
    assert allowed(("local/*", "openai/gpt-5*"), "openai", "gpt-5-mini")
    assert not allowed(("local/*",), "openai", "gpt-5")
    assert blended(price(1_000_000, 3_000_000)) == 1_500_000
