"""What a workflow releases, skips and ends as, whatever has become of its steps."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.workflow import OnFailure, Step, ancestors, problems
from runwright.domain.workflow_plan import BROKEN, OVER, Stage, Standing, plan, reusable

ENDS: tuple[Standing, ...] = ("completed", "failed", "cancelled", "expired")


def step(key: str, *depends_on: str, **fields: Any) -> Step:
    return Step(key=key, job="greet", depends_on=depends_on, **fields)


def diamond(on_failure: OnFailure) -> list[Step]:
    return [
        step("top"),
        step("left", "top", on_failure=on_failure),
        step("right", "top"),
        step("bottom", "left", "right"),
    ]


@pytest.mark.parametrize(
    ("on_failure", "released", "skipped", "end"),
    [
        ("fail", (), ("bottom",), "failed"),
        ("skip_dependents", (), ("bottom",), "completed"),
        ("continue", ("bottom",), (), None),
    ],
)
def test_06_a_diamond_with_one_failure_under_each_policy(on_failure, released, skipped, end):
    steps = diamond(on_failure)
    assert plan(steps, {}).release == ("top",)
    assert plan(steps, {"top": "completed"}).release == ("left", "right")
    over = plan(steps, {"top": "completed", "left": "failed", "right": "completed"})
    assert (over.release, tuple(over.skip), over.end) == (released, skipped, end)


def test_a_workflow_that_fails_waits_for_what_was_started():
    now = plan(diamond("fail"), {"top": "completed", "left": "failed", "right": "started"})
    assert (now.release, now.skip, now.end, now.failed) == ((), {"bottom": ("left",)}, None, ("left",))


@pytest.mark.parametrize(
    ("steps", "path", "said"),
    [
        ([step("a"), step("a")], "steps[1].key", "twice"),
        ([step("a", "b")], "steps[0].depends_on", "no step 'b'"),
        ([step("a"), step("b", "a", "a")], "steps[1].depends_on", "twice"),
        ([step("a", "b"), step("b", "a")], "steps", "waits for itself"),
        ([step("a", "a")], "steps", "waits for itself"),
        ([step("a", payload_template={"x": "{{nothing.y}}"})], "steps[0].payload_template", "neither"),
        (
            [step("a"), step("b", payload_template={"x": "{{steps.a.result}}"})],
            "steps[1].payload_template",
            "waits for",
        ),
        (
            [step("a"), step("b", "a", payload_template={"x": "{{steps.a.error}}"})],
            "steps[1].payload_template",
            "neither",
        ),
    ],
)
def test_what_is_no_workflow_is_refused_and_says_where(steps, path, said):
    (problem,) = problems(steps)
    assert (problem.path, said in problem.message) == (path, True)


def test_a_template_may_refer_to_whatever_comes_before():
    template = {"x": "{{steps.a.result.y}} {{payload.z}}"}
    assert problems([step("a"), step("b", "a"), step("c", "b", payload_template=template)]) == []


def test_a_replay_takes_over_what_completed_and_nothing_after_what_did_not():
    steps = [*diamond("continue"), step("apart")]
    stages = {key: Stage("completed", f"run_{key}") for key in ("top", "right", "bottom", "apart")}
    stages["left"] = Stage("failed", "run_left")
    assert reusable(steps, stages) == {"top": "run_top", "right": "run_right", "apart": "run_apart"}


POLICIES = st.sampled_from(["fail", "skip_dependents", "continue"])


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    """Draw steps each of which may wait for those before it, in any order of the list."""
    keys = [f"s{n}" for n in range(draw(st.integers(1, 8)))]
    made = []
    for place, key in enumerate(keys):
        needed = draw(st.lists(st.sampled_from(keys[:place]), unique=True, max_size=3)) if place else []
        made.append(step(key, *needed, on_failure=draw(POLICIES)))
    return draw(st.permutations(made))


@settings(max_examples=150)
@given(graphs(), st.data())
def test_every_workflow_ends_and_starts_a_step_only_after_what_it_waits_for(steps, data):
    assert problems(steps) == []
    by_key = {each.key: each for each in steps}
    now: dict[str, Standing] = {}
    while True:
        coming = plan(steps, now)
        assert plan(steps, now | dict.fromkeys(coming.skip, "skipped")).skip == {}
        for key in coming.release:
            assert not coming.failed
            for needed in by_key[key].depends_on:
                policy = by_key[needed].on_failure
                assert now[needed] == "completed" or (now[needed] in OVER and policy == "continue")
        skipped: dict[str, Standing] = dict.fromkeys(coming.skip, "skipped")
        now |= skipped | dict.fromkeys(coming.release, "started")
        if coming.end is not None:
            break
        started = sorted(key for key, standing in now.items() if standing == "started")
        assert started, "nothing goes on, and nothing has ended"
        now[data.draw(st.sampled_from(started))] = data.draw(st.sampled_from(ENDS))
    assert {now[each.key] for each in steps} <= OVER
    bad = any(now[each.key] in BROKEN and each.on_failure == "fail" for each in steps)
    assert coming.end == ("failed" if bad else "completed")
    before = ancestors(steps)
    for each in steps:
        if now[each.key] == "skipped" and not bad:
            assert any(now[key] in BROKEN for key in before[each.key])
