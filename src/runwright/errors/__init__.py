"""The whole error tree of Runwright: what can go wrong, told to whoever asked.

::

    Error  .code (stable)  .detail (safe to show)  .retryable  .data (details)
    ├─ InvalidRequest (.fields)      AmbiguousRequest, UnsupportedMedia, MethodNotAllowed, RangeNotSatisfiable,
    │                                InvalidSettings, PolicyInvalid, BudgetRequired
    ├─ NotFound                      also: not yours
    ├─ Conflict                      InvalidTransition, StaleLease, Overtaken, IdempotencyMismatch, AlreadyExists
    │                                LoopActive, SubjectChanged, AlreadyDecided (to come: ThreadBusy)
    ├─ Denied                        Unauthenticated (StaleToken), MissingScope, NotAnApprover, SelfApproval
    ├─ LimitExceeded                 RateLimited, QuotaExceeded, TooLarge, TooSlow, Overloaded
    │                                (to come: BudgetExceeded)
    ├─ Gone                          RunEnded, ApprovalExpired
    ├─ StoreError                    StoreUnavailable, StoreLocked, StoreReadOnly, SchemaMismatch, ChainBroken
    ├─ Internal                      a failure of ours: the log has it, the caller does not
    └─ UpstreamError                 ProviderUnavailable, ProviderRejected
                                     (to come: DispatchFailed, ForgeError, ToolFailed)

A code is for programs and never changes; a detail is for people and may. No HTTP status stands here: `api/errors.py`
gives each class its status. Expected endings of work are values (`Outcome`), never one of these.
"""

from typing import get_args

from runwright.errors.approval import AlreadyDecided, ApprovalExpired, NotAnApprover, SelfApproval, SubjectChanged
from runwright.errors.tree import (
    AlreadyExists,
    AmbiguousRequest,
    BudgetRequired,
    ChainBroken,
    Conflict,
    Denied,
    Error,
    FieldError,
    Gone,
    IdempotencyMismatch,
    Internal,
    InvalidRequest,
    InvalidSettings,
    InvalidTransition,
    LimitExceeded,
    LoopActive,
    MethodNotAllowed,
    MissingScope,
    NotFound,
    Noun,
    OutcomeUnknown,
    Overloaded,
    Overtaken,
    PolicyInvalid,
    QuotaExceeded,
    RangeNotSatisfiable,
    RateLimited,
    RunEnded,
    SchemaMismatch,
    StaleLease,
    StaleToken,
    StoreError,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
    TooLarge,
    TooSlow,
    Unauthenticated,
    UnsupportedMedia,
    not_found,
)
from runwright.errors.upstream import ProviderRejected, ProviderUnavailable, Refusal, Trouble, UpstreamError

__all__ = [
    "AlreadyDecided",
    "AlreadyExists",
    "AmbiguousRequest",
    "ApprovalExpired",
    "BudgetRequired",
    "ChainBroken",
    "Conflict",
    "Denied",
    "Error",
    "FieldError",
    "Gone",
    "IdempotencyMismatch",
    "Internal",
    "InvalidRequest",
    "InvalidSettings",
    "InvalidTransition",
    "LimitExceeded",
    "LoopActive",
    "MethodNotAllowed",
    "MissingScope",
    "NotAnApprover",
    "NotFound",
    "Noun",
    "OutcomeUnknown",
    "Overloaded",
    "Overtaken",
    "PolicyInvalid",
    "ProviderRejected",
    "ProviderUnavailable",
    "QuotaExceeded",
    "RangeNotSatisfiable",
    "RateLimited",
    "Refusal",
    "RunEnded",
    "SchemaMismatch",
    "SelfApproval",
    "StaleLease",
    "StaleToken",
    "StoreError",
    "StoreLocked",
    "StoreReadOnly",
    "StoreUnavailable",
    "SubjectChanged",
    "TooLarge",
    "TooSlow",
    "Trouble",
    "Unauthenticated",
    "UnsupportedMedia",
    "UpstreamError",
    "catalogue",
]


def catalogue() -> dict[str, type[Error]]:
    """Return every code that these classes give by themselves, with its class; tests and the reference read it."""
    codes: dict[str, type[Error]] = {not_found(noun): NotFound for noun in get_args(Noun)}
    waiting: list[type[Error]] = [Error]
    while waiting:
        kind = waiting.pop()
        codes.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return codes
