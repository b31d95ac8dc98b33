"""Why a repository was not checked out, by a code for programs and words for people."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "repo.not_found", "repo.not_allowed", "repo.too_large", "repo.unreachable", "repo.broken", "repo.timeout",
    "repo.no_git", "ref.not_found",
]  # fmt: skip
RETRYABLE: frozenset[Code] = frozenset({"repo.unreachable", "repo.timeout"})
"""The codes of what may go well another time."""


class CheckoutRefused(Exception):
    """Say why there is no tree of a commit; the words hold nothing of a URL's query and no secret."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code

    @property
    def retryable(self) -> bool:
        """Tell whether it may go well another time."""
        return self.code in RETRYABLE
