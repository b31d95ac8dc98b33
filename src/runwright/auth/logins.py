"""From a JWT to a user: whoever the issuer names is looked up, and made on first sight where that is allowed."""

from __future__ import annotations

from typing import NoReturn

from runwright import ids, telemetry
from runwright.auth.members import add_member
from runwright.auth.oidc import Identity, Oidc
from runwright.auth.users import add_user
from runwright.domain.accounts import Member, User
from runwright.domain.tenancy import Role
from runwright.errors import Unauthenticated
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries.auth import ORGANIZATION_BY_SLUG, USER_BY_NAME, USER_BY_SUBJECT, organization, user

BY = "system:oidc"


class OidcLogins:
    """Find the users of the configured issuer."""

    def __init__(self, store: Store, oidc: Oidc) -> None:
        self._store = store
        self._oidc = oidc
        self.token_max_bytes = oidc.token_max_bytes

    async def find(self, token: str) -> tuple[User, int]:
        """Return the user of a token, and the instant (µs) at which it ends.

        A user whom nobody made yet is made if `oidc_provision` says so and the token's claims suggest a role; after
        that the claims change nothing. Raises `Unauthenticated` for everybody else; the report says what is missing.
        """
        who = await self._oidc.identify(token)
        rows = await self._store.fetch(USER_BY_SUBJECT, issuer=who.issuer, subject=who.subject)
        found = user(rows[0]) if rows else await self._provision(who)
        return found, who.expires_at

    async def _provision(self, who: Identity) -> User:
        if not self._oidc.provisions:
            self._refuse(who, "no user has this subject: make one (POST /v1/users), or set RUNWRIGHT_OIDC_PROVISION")
        role = who.role
        if role is None:
            self._refuse(who, "its claims suggest no role; see RUNWRIGHT_OIDC_ROLE_CLAIM and RUNWRIGHT_OIDC_ROLES")
        orgs = await self._store.fetch(ORGANIZATION_BY_SLUG, slug=self._oidc.organization)
        if not orgs:
            self._refuse(who, f"there is no organization {self._oidc.organization!r} (RUNWRIGHT_OIDC_ORGANIZATION)")
        org_id = organization(orgs[0]).org_id
        made = await self._store.write(lambda tx: _make(tx, who, role, org_id))
        telemetry.report("oidc.user_made", issuer=who.issuer, subject=who.subject, user_id=made.user_id, role=role)
        return made

    def _refuse(self, who: Identity, reason: str) -> NoReturn:
        telemetry.report("oidc.refused", issuer=who.issuer, subject=who.subject, reason=reason)
        raise Unauthenticated


async def _make(tx: Transaction, who: Identity, role: Role, org_id: str) -> User:
    await audit.lock(tx, org_id)
    rows = await tx.fetch(USER_BY_SUBJECT, issuer=who.issuer, subject=who.subject)
    if rows:  # a request beside this one was first
        return user(rows[0])
    taken = await tx.fetch(USER_BY_NAME, org_id=org_id, name=who.name)
    name = f"{who.name[:120]} ({who.subject[:120]})" if taken else who.name
    made = User(ids.new_id("user", tx.now), org_id, name, who.email, True, tx.now, who.issuer, who.subject)
    await add_user(tx, made, BY)
    await add_member(tx, Member(ids.new_id("mem", tx.now), org_id, None, made.user_id, role, tx.now, BY))
    return made
