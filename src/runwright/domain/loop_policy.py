"""The terms of a loop within the policy of its repository: of two ceilings the lower, of two rules the stricter."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain.agent_terms import Budget
from runwright.domain.gating import required_beside, scoped_gate
from runwright.domain.loop_terms import LlmFailurePolicy, LoopApprovals, LoopTerms, PatchApproval
from runwright.domain.policy_file import PolicyFile
from runwright.domain.quality_gate import QualityGate

WRITE = "write"
"""What a policy calls the approval of a patch."""
_STRICT: tuple[LlmFailurePolicy, ...] = ("block", "deterministic_only", "warn", "ignore")


def within(terms: LoopTerms, budget: Budget, policy: PolicyFile) -> tuple[LoopTerms, Budget]:
    """Return the terms and the budget that hold: what was asked for, and no more than the policy lets be."""
    most = [each for each in (terms.max_iterations, policy.budgets.max_iterations) if each is not None]
    failure = terms.strategy.llm_failure_policy
    if policy.name:
        failure = min(failure, policy.llm_failure_policy, key=_STRICT.index)
    held = replace(
        terms,
        max_iterations=min(most, default=None),
        quality_gates=_gates(terms, policy),
        policy_gates=required_beside(policy),
        strategy=replace(terms.strategy, llm_failure_policy=failure),
        approvals=LoopApprovals(patch=_approval(terms, policy)),
    )
    return held, replace(budget.within(policy.budgets.budget), on_exceeded=None)


def _gates(terms: LoopTerms, policy: PolicyFile) -> tuple[QualityGate, ...]:
    """Return the gates of the policy, and those of the order that it does not name.

    A loop changes its tree again and again: of scoped tests it runs all.
    """
    scoped = scoped_gate(policy)
    theirs = policy.quality_gates if scoped is None else (*policy.quality_gates, scoped)
    named = {gate.id for gate in theirs} | set(required_beside(policy))
    return (*theirs, *(gate for gate in terms.quality_gates if gate.id not in named))


def _approval(terms: LoopTerms, policy: PolicyFile) -> PatchApproval | None:
    rules, asked = policy.approvals.get(WRITE), terms.approvals.patch
    if rules is None:
        return asked
    own = asked or PatchApproval()
    return replace(
        own,
        quorum=max(own.quorum, rules.quorum),
        roles=own.roles if rules.roles is None else rules.roles,
        exclude_actors=tuple(dict.fromkeys((*own.exclude_actors, *rules.exclude_actors))),
        ttl_seconds=own.ttl_seconds if rules.ttl_seconds is None else min(own.ttl_seconds, rules.ttl_seconds),
    )
