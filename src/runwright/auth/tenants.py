"""All verbs of tenancy in one place, as `app.py` builds them and the surfaces call them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runwright.auth.authenticate import TokenAuthenticator
from runwright.auth.keyring import Keyring
from runwright.auth.keys import Keys
from runwright.auth.logins import OidcLogins
from runwright.auth.members import Members
from runwright.auth.oidc import Oidc
from runwright.auth.organizations import Organizations
from runwright.auth.projects import Projects
from runwright.auth.run_tokens import RunTokens
from runwright.auth.users import Users
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.hints import Kept
from runwright.domain.instants import HOUR_US
from runwright.domain.tenancy import Actor
from runwright.store.base import Store


class Tenants(msgspec.Struct, frozen=True):
    """Hold the verbs of organizations, projects, users, members and keys, the authenticator that they keep current, and
    the tokens of runs.
    """

    organizations: Organizations
    projects: Projects
    users: Users
    members: Members
    keys: Keys
    authenticator: TokenAuthenticator
    run_tokens: RunTokens

    @classmethod
    def of(
        cls,
        store: Store,
        keyring: Keyring,
        clock: Clock,
        *,
        key_cache_s: float = 5.0,
        idempotency_ttl_h: float = 24.0,
        oidc: Oidc | None = None,
        tell: Callable[[Kept], None] = lambda kept: None,
    ) -> Tenants:
        """Build the verbs over one store; the durations are the settings of these names.

        `tell` is told what was changed of that which other processes keep in memory.
        """
        ttl_us = round(idempotency_ttl_h * HOUR_US)
        logins = None if oidc is None else OidcLogins(store, oidc)
        authenticator = TokenAuthenticator(store, keyring, clock, key_cache_s, logins, lambda: tell("logins"))
        return cls(
            Organizations(store, keyring, ttl_us),
            Projects(store, keyring, ttl_us, lambda: tell("projects")),
            Users(store, authenticator, None if oidc is None else oidc.issuer, ttl_us),
            Members(store, authenticator, ttl_us),
            Keys(store, keyring, authenticator, ttl_us),
            authenticator,
            RunTokens(keyring.run_token_key),
        )

    async def resolve_project(self, actor: Actor, ident: str | None) -> Project:
        """Return the project that a caller names by id or slug; by nothing, its own or else `default`."""
        return await self.projects.resolve(actor, ident)
