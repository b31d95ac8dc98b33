"""The first start: an empty store gets its organization, project, user and admin key."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runwright.auth.keyring import Keyring
from runwright.auth.keys import add_key
from runwright.auth.organizations import ADMIN_USER, admin_key, found
from runwright.auth.projects import DEFAULT
from runwright.auth.tokens import check_own_token, credential, new_token
from runwright.domain.accounts import Membership, Organization
from runwright.store import audit
from runwright.store.base import Row, Store, Transaction
from runwright.store.queries.auth import (
    CREDENTIAL,
    FIRST_ORGANIZATION,
    LOCK_KEYRING,
    MEMBERSHIPS,
    ORGANIZATION_BY_SLUG,
    USER_BY_NAME,
    membership,
    organization,
    user,
)

BY = "system:bootstrap"


class Bootstrapped(msgspec.Struct, frozen=True):
    """The organization that the server's own things belong to, and a key that is known: given, or made just now."""

    organization: Organization
    token: str | None
    made: bool


async def bootstrap(
    store: Store, keyring: Keyring, api_key: str | None, keep: Callable[[str], None] | None = None
) -> Bootstrapped:
    """Make what an empty store lacks, and let the operator's own key (`RUNWRIGHT_API_KEY`) in.

    A given key that the store does not know becomes another admin key; one that was revoked stays revoked. `keep` is
    handed a token that was made, before the store has it: no crash leaves a house whose only key nobody knows. Raises
    `InvalidSettings` for a key that is too short.
    """
    given = check_own_token(api_key) if api_key is not None else None

    async def work(tx: Transaction) -> Bootstrapped:
        rows = await _first(tx)
        if not rows:
            await tx.fetch(LOCK_KEYRING)  # of servers that start at once one founds the house, and tells its key
            rows = await _first(tx)
        if not rows:
            token = given or new_token()
            if given is None and keep is not None:
                keep(token)
            founded = await found(tx, keyring, DEFAULT, "Default", token, BY)
            return Bootstrapped(founded.organization, founded.token, made=given is None)
        org = organization(rows[0])
        await audit.lock(tx, org.org_id)
        if given is not None and not await tx.fetch(CREDENTIAL, prefix=credential(given, keyring.pepper).prefix):
            await add_key(tx, keyring, admin_key(org.org_id, await _owner(tx, org.org_id), tx.now, BY), given)
        return Bootstrapped(org, given, made=False)

    return await store.write(work)


async def _first(tx: Transaction) -> list[Row]:
    return await tx.fetch(ORGANIZATION_BY_SLUG, slug=DEFAULT) or await tx.fetch(FIRST_ORGANIZATION)


async def _owner(tx: Transaction, org_id: str) -> str | None:
    """Return the user `admin` if a key of theirs would open everything; a service's does so in any case."""
    rows = await tx.fetch(USER_BY_NAME, org_id=org_id, name=ADMIN_USER)
    admin = user(rows[0]) if rows else None
    if admin is None or not admin.enabled:
        return None
    memberships = [membership(row) for row in await tx.fetch(MEMBERSHIPS, user_id=admin.user_id)]
    free = not memberships or Membership("admin", None, removed=False) in memberships
    return admin.user_id if free else None
