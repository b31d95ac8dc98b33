"""The errors that tell of services which Runwright called."""

from typing import Any, Literal

from runwright.errors.tree import Error

Trouble = Literal[
    "unreached", "rate_limited", "overloaded", "silent", "stalled", "too_long", "cut", "malformed", "busy"
]
"""Why a model provider is not available: not connected; too many requests; it says so itself; nothing came at the
beginning, or in the middle; not done in time; the connection broke; unreadable; the queue of the local model is full.
"""

Refusal = Literal["credentials", "model", "request", "unsupported", "address", "too_large", "not_installed", "quota"]
"""Why asking a model provider again would not help."""


class UpstreamError(Error):
    """Report the failure of a service that Runwright called."""

    code = "upstream.error"
    summary = "A service that was called failed."


class ProviderUnavailable(UpstreamError):
    """Report a model provider that gave no whole answer; asking again may help, after `retry_after_s` if it said so.

    `billed`: the provider may have begun to answer, and ask money for it; False only where it cannot have.
    """

    code = "providers.unavailable"
    summary = "The model provider is not available at the moment."
    retryable = True

    def __init__(
        self,
        detail: str | None = None,
        *,
        reason: Trouble = "unreached",
        retry_after_s: float | None = None,
        billed: bool = False,
    ) -> None:
        data: dict[str, Any] = {"reason": reason, "billed": billed}
        super().__init__(detail, data=data if retry_after_s is None else data | {"retry_after_s": retry_after_s})
        self.reason: Trouble = reason
        self.retry_after_s = retry_after_s
        self.billed = billed


class ProviderRejected(UpstreamError):
    """Report a call that a model provider does not take; `billed` as with `ProviderUnavailable`."""

    code = "providers.rejected"
    summary = "The model provider does not take this call."

    def __init__(self, detail: str | None = None, *, reason: Refusal = "request", billed: bool = False) -> None:
        super().__init__(detail, data={"reason": reason, "billed": billed})
        self.reason: Refusal = reason
        self.billed = billed
