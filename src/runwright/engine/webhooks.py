"""Everything of webhooks in one place: who subscribes, the log of deliveries, and who sends them."""

from __future__ import annotations

from collections.abc import Callable

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.retry import RetryPolicy
from runwright.engine.deliveries import Deliveries
from runwright.engine.loops import Loop
from runwright.engine.postman import Courier, Postman, PostTerms
from runwright.engine.redactors import Redactors
from runwright.engine.signing_secrets import SigningSecrets
from runwright.engine.subscriptions import Subscriptions
from runwright.engine.watched import Watched
from runwright.store.base import Store


class Webhooks:
    """The verbs and the loop of webhooks, put together over a store; without a courier nothing is sent here.

    `tell` lets other processes know that the subscriptions were changed.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        secrets: SigningSecrets,
        redactors: Redactors,
        watched: Watched,
        courier: Courier | None,
        tell: Callable[[], None],
    ) -> None:
        self._watched = watched
        self._tell = tell
        self.subscriptions = Subscriptions(
            store,
            secrets,
            int(settings.idempotency_ttl_h * HOUR_US),
            allow_private=settings.allow_private_endpoints,
            most=settings.webhook_subscriptions_max,
            tell=self._changed,
        )
        self.deliveries = Deliveries(store, clock, self.wake, scan_budget=settings.scan_budget, page=settings.page_max)
        self.postman = None
        if courier is not None:
            terms = _terms(settings)
            self.postman = Postman(store, clock, courier, secrets, self.subscriptions, redactors, watched, terms)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Return its loops."""
        return () if self.postman is None else (self.postman.loop,)

    def wake(self) -> None:
        """Let the sender look."""
        if self.postman is not None:
            self.postman.loop.wake()

    def forget(self) -> None:
        """Read again who subscribes: somebody changed it."""
        self._watched.forget()
        self.wake()

    async def idle(self) -> None:
        """Return when nothing is being sent."""
        if self.postman is not None:
            await self.postman.idle()

    def _changed(self) -> None:
        self.forget()
        self._tell()


def _terms(settings: Settings) -> PostTerms:
    policy = RetryPolicy(
        max_attempts=settings.webhook_attempts,
        initial_ms=int(settings.webhook_retry_initial_s * 1000),
        max_ms=int(settings.webhook_retry_max_s * 1000),
    )
    return PostTerms(
        slots=settings.webhook_slots,
        slots_per_source=settings.webhook_slots_per_source,
        timeout_s=settings.webhook_timeout_s,
        policy=policy,
        disable_us=int(settings.webhook_disable_days * DAY_US),
        poll_s=settings.webhook_poll_s,
    )
