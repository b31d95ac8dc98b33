"""The terms of a loop within the policy of its repository: of two ceilings the lower, of two rules the stricter."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain.agent_terms import Budget
from runwright.domain.gating import required_beside, scoped_gate
from runwright.domain.loop_terms import LlmFailurePolicy, LoopApproval, LoopApprovals, LoopTerms
from runwright.domain.policy_approvals import PLAN, WRITE, strictest
from runwright.domain.policy_file import PolicyFile
from runwright.domain.quality_gate import QualityGate
from runwright.errors import PolicyInvalid

_STRICT: tuple[LlmFailurePolicy, ...] = ("block", "deterministic_only", "warn", "ignore")


def within(terms: LoopTerms, budget: Budget, policy: PolicyFile) -> tuple[LoopTerms, Budget]:
    """Return the terms and the budget that hold: what was asked for, and no more than the policy lets be.

    Raises `PolicyInvalid` where no role may decide that both the order and the policy name.
    """
    most = [each for each in (terms.max_iterations, policy.budgets.max_iterations) if each is not None]
    failure = terms.strategy.llm_failure_policy
    if policy.name:
        failure = min(failure, policy.llm_failure_policy, key=_STRICT.index)
    held = replace(
        terms,
        max_iterations=min(most, default=None),
        quality_gates=_gates(terms, policy),
        policy_gates=required_beside(policy),
        block_on=policy.blocking if policy.name else (),
        strategy=replace(terms.strategy, llm_failure_policy=failure),
        approvals=_approvals(terms, policy),
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


def _approvals(terms: LoopTerms, policy: PolicyFile) -> LoopApprovals:
    asked = terms.approvals
    return LoopApprovals(plan=_approval(asked.plan, policy, PLAN), patch=_approval(asked.patch, policy, WRITE))


def _approval(asked: LoopApproval | None, policy: PolicyFile, key: str) -> LoopApproval | None:
    rules = policy.approvals.get(key)
    if rules is None:
        return asked
    try:
        return strictest(asked or LoopApproval(), rules)
    except ValueError as why:
        raise PolicyInvalid.of(policy.name, f"approvals.{key}.roles", None, f"{why} that this loop asks for") from None
