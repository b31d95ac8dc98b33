"""How often, and after which delay, a call is tried again."""

import random

import msgspec

RETRY_AFTER_MAX_S = 60.0


class Backoff(msgspec.Struct, frozen=True):
    """Try at most `attempts` times; wait `initial_s`, then twice as long each time up to `max_s`, less up to a half.

    What a server asks for (`Retry-After`) is waited for even where it is longer, up to a minute.
    """

    attempts: int = 5
    initial_s: float = 0.1
    max_s: float = 5.0

    def delay_s(self, failures: int, asked_s: float | None = None) -> float:
        """Return how long to wait after this many failures in a row."""
        own = min(self.initial_s * 2.0 ** min(failures - 1, 30), self.max_s)
        jittered = own * random.uniform(0.5, 1.0)
        return max(jittered, min(asked_s or 0.0, RETRY_AFTER_MAX_S))
