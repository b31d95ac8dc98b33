"""Decide whether and when a failed attempt is tried again."""

import hashlib
from typing import Literal

import msgspec

Strategy = Literal["exponential", "linear", "fixed", "custom"]
Jitter = Literal["full", "proportional", "none"]

_FINGERPRINT_CHARACTERS = 200
_SPREAD = 0.2
_MOST_DOUBLINGS = 62


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Say how often a run is tried and how long it rests between attempts.

    ``max_attempts`` counts the first attempt. ``delays_ms`` belongs to the strategy ``custom`` alone, which needs it.
    Raises `ValueError` when made of values that make no policy.
    """

    strategy: Strategy = "exponential"
    max_attempts: int = 3
    initial_ms: int = 1_000
    max_ms: int = 3_600_000
    delays_ms: tuple[int, ...] = ()
    jitter: Jitter = "proportional"

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts is at least 1")
        if min(self.initial_ms, self.max_ms, *self.delays_ms) < 0:
            raise ValueError("a delay is not negative")
        if self.strategy == "custom" and not self.delays_ms:
            raise ValueError("the strategy custom needs its delays")


def delay_ms(policy: RetryPolicy, attempt: int, draw: float, retry_after_ms: int | None = None) -> int:
    """Return the rest in milliseconds after the failed attempt number ``attempt`` (1, 2, …); never above ``max_ms``.

    ``draw`` in [0, 1) is the caller's random number: full jitter spreads over [0, delay], proportional over ±20 %.
    ``retry_after_ms``, what the other side asked for, is the least rest, as far as ``max_ms`` allows.
    """
    rest = min(_plain_delay_ms(policy, attempt), policy.max_ms)
    if policy.jitter == "full":
        rest = int(rest * draw)
    elif policy.jitter == "proportional":
        rest = min(round(rest * (1 - _SPREAD + 2 * _SPREAD * draw)), policy.max_ms)
    return max(rest, min(retry_after_ms or 0, policy.max_ms))


def _plain_delay_ms(policy: RetryPolicy, attempt: int) -> int:
    match policy.strategy:
        case "exponential":
            return policy.initial_ms << min(attempt - 1, _MOST_DOUBLINGS)
        case "linear":
            return policy.initial_ms * attempt
        case "fixed":
            return policy.initial_ms
        case "custom":
            return policy.delays_ms[min(attempt, len(policy.delays_ms)) - 1]


def error_fingerprint(error_class: str, text: str) -> str:
    """Name an error in 16 hex digits: equal for one class and one beginning of the text (200 characters).

    Equal fingerprints in a row make a poison pill (`poison_pill_threshold`).
    """
    said = f"{error_class}\0{text[:_FINGERPRINT_CHARACTERS]}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(said).hexdigest()[:16]
