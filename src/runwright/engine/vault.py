"""Everything of environments and secrets in one place: the verbs, what attempts are given, and who hides it."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.instants import HOUR_US
from runwright.domain.ports import ProjectSealer
from runwright.domain.redaction import Redactor
from runwright.engine.environments import Environments
from runwright.engine.provisions import Provisions
from runwright.engine.redactors import Redactors
from runwright.engine.secrets import Secrets
from runwright.store.base import Store


class Vault:
    """Put together over a store; `believed_s` is for how long this process believes what it knows of secrets."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        sealer: ProjectSealer,
        redactor: Redactor,
        believed_s: float,
    ) -> None:
        self.now = clock.now
        ttl_us = int(settings.idempotency_ttl_h * HOUR_US)
        self.redactors = Redactors(redactor)
        self.provisions = Provisions(store, sealer, clock, self.redactors, believed_s)
        self.environments = Environments(store, ttl_us)
        self.secrets = Secrets(store, self.provisions, clock, ttl_us, most=settings.secrets_max)
