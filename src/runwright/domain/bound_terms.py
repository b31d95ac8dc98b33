"""The terms of a runtime run that hold: what was asked for, within what the policy of its repository says."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain.base_policy import PolicyRead
from runwright.domain.run import Run
from runwright.domain.runtime_terms import RuntimeTerms


def bound(run: Run) -> Run:
    """Return a run with the terms that hold; they are those of its order until the policy of its base was read."""
    runtime, course = run.spec.runtime, run.course
    if runtime is None or course is None:
        return run
    loop = course.loop
    if loop is not None and loop.terms is not None and loop.budget is not None:
        terms = replace(runtime, loop=loop.terms, budget=loop.budget)
    elif course.policy is not None:
        terms = _within(runtime, course.policy)
    else:
        return run
    return replace(run, spec=replace(run.spec, runtime=terms))


def _within(runtime: RuntimeTerms, said: PolicyRead) -> RuntimeTerms:
    """Return the terms of a run over a base with a policy; no tool of a model escapes what it says of commands."""
    policy, agent = runtime.policy, runtime.agent
    if policy.commands is None:
        policy = replace(policy, commands=said.commands.allow)
    terms = replace(runtime, policy=policy, budget=runtime.budget.within(said.budget))
    if agent is None:
        return terms
    return replace(terms, agent=replace(agent, tools=tuple(tool for tool in agent.tools if tool in terms.tools)))
