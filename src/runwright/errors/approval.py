"""The errors of deciding approvals: who may not, and what cannot be decided, or not any more."""

from runwright.errors.tree import Conflict, Denied, Gone


class AlreadyDecided(Conflict):
    """Refuse a decision about what was decided, or is asked no more; nothing changed."""

    code = "approvals.already_decided"
    summary = "This was decided, or is asked no more."


class SubjectChanged(Conflict):
    """Refuse a decision that names another subject than the one that is asked about; look at it, and decide again."""

    code = "approvals.subject_changed"
    summary = "What is asked about is not what the decision names."


class NotAnApprover(Denied):
    """Refuse a caller who may not decide this: services, agents and runs never may."""

    code = "approvals.not_an_approver"
    summary = "This is for a person to decide who has one of the roles that it asks for."


class SelfApproval(Denied):
    """Refuse the approval of who made the run, where somebody else may give it."""

    code = "approvals.self_approval"
    summary = "Whoever made the run does not approve it: somebody else may."


class ApprovalExpired(Gone):
    """Refuse a decision that comes too late: no decision in time is a denial."""

    code = "approvals.expired"
    summary = "The time to decide this is over."
