"""What the policy of its base says of a runtime run: read as the tree is laid out, told in the log, held from then on.

Whatever the run does to the file afterwards, this holds. What a run leaves in its workspace is nobody's before it is
delivered, so the policy's `scope` is held by the delivery.
"""

from __future__ import annotations

import msgspec

from runwright.domain.agent_terms import Budget
from runwright.domain.policy_approvals import PLAN, ApprovalRules, strictest
from runwright.domain.policy_file import PolicyFile
from runwright.domain.policy_terms import CommandRules
from runwright.domain.runtime_terms import AgentStep, ApprovalStep, CommandStep, GateStep, RuntimeTerms, Step
from runwright.errors import PolicyInvalid


class PolicyRead(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`policy.read`: what the policy of the commit that the run began with says of it."""

    policy_file: str
    policy_sha256: str
    commands: CommandRules = CommandRules()
    budget: Budget = Budget()
    approvals: dict[str, ApprovalRules] = {}

    @classmethod
    def of(cls, policy: PolicyFile) -> PolicyRead:
        """Return what a policy says."""
        return cls(
            policy_file=policy.name,
            policy_sha256=policy.digest,
            commands=policy.commands,
            budget=policy.budgets.budget,
            approvals=policy.approvals,
        )

    def asks(self, step: ApprovalStep) -> ApprovalStep:
        """Return how people are asked by a step: no easier than the policy lets it. Raises `PolicyInvalid`."""
        rules = self.approvals.get(step.gate_id)
        try:
            return step if rules is None else strictest(step, rules)
        except ValueError as why:
            place = f"approvals.{step.gate_id}.roles"
            raise PolicyInvalid.of(
                self.policy_file, place, None, f"{why} that the step {step.title} asks for"
            ) from None

    def wants_plan(self, terms: RuntimeTerms) -> bool:
        """Tell whether people must have allowed the plan of a run before anything of it changes its workspace."""
        return PLAN in self.approvals and terms.writable


def bounds(steps: tuple[Step, ...]) -> bool:
    """Tell whether a policy has anything to say of these steps: to look, and to report, anybody may."""
    return any(isinstance(step, CommandStep | GateStep | AgentStep | ApprovalStep) for step in steps)
