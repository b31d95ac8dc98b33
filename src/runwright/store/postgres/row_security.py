"""Row-level security: PostgreSQL itself keeps from a reader of one organization what belongs to all others.

Each transaction says for whom it is, by the setting `runwright.organization`, which lasts no longer than it: an
organization, or `*` for the server's own work. Nothing is visible to an organization but its own rows, and it may write
none. Who says nothing gets an error, whoever it is: FORCE includes the owner of the tables; only superusers pass.

The database knows whether it is on; it is switched table by table, while servers that say for whom they ask work on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import asyncpg
from sqlalchemy import Table

from runwright.errors import StoreError, StoreReadOnly
from runwright.store.migrations import ddl
from runwright.store.postgres import locks
from runwright.store.postgres.connection import NOT_TOLD, Connection, translated
from runwright.telemetry import report

Standing = Literal["on", "off", "partly"]

EVERYBODY = "*"
SERVERS = frozenset({
    "ready", "held", "limits", "turns", "timers", "idempotency", "inbox", "outbox", "paused_queues", "tickets",
    "keyring", "job_secrets", "secret_values", "secret_heads", "signal_waits", "kept_signals", "job_triggers",
    "job_rates",
})  # fmt: skip
"""Tables of which no organization sees anything: they are the server's own bookkeeping, or its secrets."""
OPEN = frozenset({"blobs", "blob_parts", "moves"})
"""Tables without security: equal bytes of several organizations are one blob. Who sees which is said by `artifacts`."""

LOCK_WAIT = "2s"
"""For how long a table may make everybody wait behind it: then they pass, and it is tried again."""
TRIES = 40
LOCK = locks.hashed("duty", "row security")
SETTING = "current_setting('runwright.organization')"
ALL = f"{SETTING} = '{EVERYBODY}'"
TABLES = (
    "SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity, i.inhparent::regclass::text,"
    " coalesce((SELECT array_agg(p.polname || ': ' || coalesce(obj_description(p.oid, 'pg_policy'), '')"
    " ORDER BY p.polname) FROM pg_policy p WHERE p.polrelid = c.oid), '{}') FROM pg_class c"
    " LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relnamespace = current_schema()::regnamespace"
    " AND c.relkind IN ('r', 'p') ORDER BY 1"
)
OWN = """
CREATE OR REPLACE FUNCTION runwright_own_{noun}(id text) RETURNS boolean LANGUAGE plpgsql STABLE AS
$$BEGIN RETURN EXISTS (SELECT FROM {schema}.{noun}s t WHERE t.{noun}_id = id AND t.org_id = {setting}); END$$
"""
SCHEMA = "SELECT quote_ident(current_schema())"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def named(org_id: str) -> str:
    """Return the statement that says, within a transaction, for whom it is."""
    return f"SET LOCAL runwright.organization = {_text(org_id)}"


BEGIN = f"BEGIN; {named(EVERYBODY)}"
"""Begins a transaction of the server's own, in one round trip."""


def reading(org_id: str) -> str:
    """Return what begins a reading for an organization, or for everybody."""
    return f"BEGIN READ ONLY; {named(org_id)}"


def policies(table: Table) -> dict[str, str]:
    """Return the policies of a table, name → what follows `CREATE POLICY … ON …`; none for an open one."""
    if table.name in OPEN:
        return {}
    own = _own(table)
    if own is None:
        return {"runwright_all": f"USING ({ALL})"}
    # Each command has one policy, and who the server works for is asked first: its own work asks nothing more.
    return {
        "runwright_delete": f"FOR DELETE USING ({ALL})",
        "runwright_insert": f"FOR INSERT WITH CHECK ({ALL})",
        "runwright_read": f"FOR SELECT USING ({ALL} OR {own})",
        "runwright_update": f"FOR UPDATE USING ({ALL})",
    }


def _own(table: Table) -> str | None:
    if table.name in SERVERS:
        return None
    if "org_id" in table.columns:
        return f"org_id = {SETTING}"
    # By a function: what stands in it is planned and opened when it is asked, and the server's own work never asks.
    for noun in ("run", "job"):
        if f"{noun}_id" in table.columns:
            return f"runwright_own_{noun}({noun}_id)"
    return None


async def ready(connection: Connection, *, asked: bool, may: bool) -> None:
    """Return when a server may work that says for whom it asks, or does not. Raises `StoreError` for what cannot be.

    One that says it works with and without; it switches row-level security on if it `may`, and else tells that it is
    off. One that does not say it would be refused everything.
    """
    found = await standing(connection)
    if found != "off" and not asked:
        raise StoreError(NOT_TOLD)
    if asked and found != "on":
        if may:
            try:
                await switch(connection, on=True)
            except StoreReadOnly as refused:
                raise StoreReadOnly(
                    "row-level security is not on, and this role may not switch it: run `runwright db upgrade"
                    f" --row-security` as the owner of the tables, or set RUNWRIGHT_MIGRATE=false ({refused.detail})"
                ) from refused
        else:
            report("store.row_security_missing", found=found)


async def standing(connection: Connection) -> Standing:
    """Tell whether row-level security is on, in all tables that this version knows."""
    with translated():
        found = await connection.fetch(TABLES)
    if next(_amends(found, wanted=False), None) is None:
        return "off"
    return "on" if next(_amends(found, wanted=True), None) is None else "partly"


async def switch(connection: Connection, *, on: bool) -> bool:
    """Switch it on or off, also where only some of it is; return whether anything was changed.

    Raises `StoreReadOnly` for a role that does not own the tables.
    """
    changed = False
    for tried in range(1, TRIES + 1):
        try:
            with translated():
                while await _next(connection, wanted=on):
                    changed = True
            break
        except StoreError as busy:
            if tried == TRIES or not isinstance(busy.__cause__, asyncpg.LockNotAvailableError):
                raise
            report("store.row_security_waits", tried=tried, of=TRIES)
    if changed:
        report("store.row_security", on=on)
    return changed


async def _next(connection: Connection, *, wanted: bool) -> bool:
    """Amend the first table that is not as it should be: one a transaction, so that nobody waits for long."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        found = next(_amends(await connection.fetch(TABLES), wanted=wanted), None)
        if found is None:
            return False
        if wanted:
            schema = await connection.fetchval(SCHEMA)
            for noun in ("run", "job"):
                await connection.execute(OWN.format(noun=noun, schema=schema, setting=SETTING))
        await connection.execute("; ".join(found[1]))
        return True


def _amends(found: list[asyncpg.Record], *, wanted: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield each table that is not as wanted, with the statements that make it so."""
    known = {table.name: policies(table) for table in ddl.tables("postgresql")}
    for name, forced, parent, has in found:
        # A month is looked at through its table. By itself it shows nothing to anybody: it has no policy.
        like = known.get(parent or name)
        if not like:
            continue
        should = {} if parent or not wanted else like
        if forced == wanted and list(has) == [f"{policy}: {text}" for policy, text in sorted(should.items())]:
            continue
        verbs = ("ENABLE", "FORCE") if wanted else ("NO FORCE", "DISABLE")
        drops = [f"DROP POLICY {each.partition(':')[0]} ON {name}" for each in has]
        makes = [
            statement
            for policy, text in should.items()
            for statement in (
                f"CREATE POLICY {policy} ON {name} {text}",
                f"COMMENT ON POLICY {policy} ON {name} IS {_text(text)}",
            )
        ]
        yield name, [*drops, *makes, *(f"ALTER TABLE {name} {verb} ROW LEVEL SECURITY" for verb in verbs)]


def secured(partition: str) -> list[str]:
    """Return the statements that close a new month, which is to be looked at through its table only."""
    return [f"ALTER TABLE {partition} {verb} ROW LEVEL SECURITY" for verb in ("ENABLE", "FORCE")]
