"""What the policy of its base makes of the terms of a runtime run: of two bounds the narrower, and no way around it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from runwright.domain.agent_terms import AgentTerms, Budget
from runwright.domain.base_policy import PolicyRead, bounds
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.policy_file import read_policy
from runwright.domain.runtime_terms import (
    ApprovalStep,
    CommandStep,
    IngestStep,
    ReportStep,
    RunPolicy,
    RuntimeTerms,
    ScanStep,
)
from runwright.errors import PolicyInvalid
from tests.domain.specimens import SPECIMENS

AGENT = AgentTerms(
    thread_id="", persona_id="default@1", route_id="r", provider="scripted", model="m", tools=("shell", "files")
)


def said(text: str) -> PolicyRead:
    """Return what a policy says of runs."""
    return PolicyRead.of(read_policy(text.encode(), "policy.yaml"))


def held(terms: RuntimeTerms, policy: PolicyRead | None) -> RuntimeTerms:
    """Return the terms of a run that hold over a base with a policy."""
    run = SPECIMENS["runtime executing"]().standing
    run = replace(run, spec=replace(run.spec, runtime=terms), course=Course(policy=policy))
    found = bound(run).spec.runtime
    assert found is not None
    return found


def test_of_two_budgets_each_limit_is_the_smaller():
    asked = RuntimeTerms(budget=Budget(tokens=9, tool_calls=1))
    assert held(asked, said("budgets: {max_tokens: 5, max_tool_calls: 5}")).budget == Budget(tokens=5, tool_calls=1)
    assert held(asked, None) == asked


def test_where_commands_are_bounded_no_model_has_a_tool_that_runs_others():
    terms = held(RuntimeTerms(agent=AGENT), said("commands: {allow: [ruff]}"))
    assert terms.agent is not None
    assert (terms.agent.tools, terms.policy.commands) == (("files",), ("ruff",))
    assert held(RuntimeTerms(agent=AGENT), said("commands: {}")).agent == AGENT
    own = RuntimeTerms(policy=RunPolicy(commands=("make",)))
    assert held(own, said("commands: {allow: [ruff]}")).policy.commands == ("make",), "the other is looked at beside it"


def test_a_step_asks_no_easier_than_the_policy_lets_it():
    policy = said("approvals: {plan: {quorum: 2, roles: [admin], ttl_seconds: 60}, push: {quorum: 3}}")
    step = ApprovalStep(summary="Go on?", exclude_actors=("user_1",))
    assert policy.asks(step) == replace(step, quorum=2, roles=("admin",), ttl_seconds=60)
    assert policy.asks(replace(step, gate_id="push")).quorum == 3
    assert policy.asks(replace(step, gate_id="deploy")) == replace(step, gate_id="deploy")
    with pytest.raises(PolicyInvalid, match=r"approvals\.plan\.roles: no role may allow all of it"):
        policy.asks(replace(step, roles=("approver",)))


def test_to_look_and_to_report_needs_no_policy():
    assert not bounds((IngestStep(), ScanStep(), ReportStep()))
    assert bounds((IngestStep(), CommandStep(command=("true",))))
    assert bounds((ApprovalStep(summary="Go on?"),))
