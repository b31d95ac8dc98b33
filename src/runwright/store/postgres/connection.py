"""Connect to PostgreSQL: the settings of a session, and what its failures are called here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from runwright.errors import SchemaMismatch, StoreError, StoreReadOnly, StoreUnavailable

ANSWER_S = 5.0
"""How much longer an answer is waited for than the server works at it: only a lost connection takes so long."""
OLDEST_SERVER = 150_000

SETTINGS = {
    "application_name": "runwright",
    "TimeZone": "UTC",
    "default_transaction_isolation": "read committed",
    # A process that stands still (stopped, swapped out, cut off) must not keep its locks from the others.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # Plans are pinned: each statement is planned once for a connection, and can only be planned as a walk from rows in
    # hand to rows by an index. Statistics of queues are always wrong (they were empty, or full, when last looked at).
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # it was told that it is ended, while nobody listened
    ConnectionError,
)
"""What says that the connection is of no use any more: a reading may be repeated on another at once."""

AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,
)
"""What a transaction may be tried again after: it changed nothing, and the next try sees what stood in its way."""

_BUSY = ("08", "40", "53", "55", "57", "25P03", "25P04", "25006", "58")
NOT_TOLD = (
    "the database has row-level security: set RUNWRIGHT_DATABASE_ROW_SECURITY=true, or switch it off as the owner of"
    " the tables with `runwright db upgrade --no-row-security`"
)
"""What a server hears that does not say for whom it asks."""
_SCHEMA = ("3F000", "42P01", "42703", "42804")


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection; it is used by one caller at a time, and given back outside a transaction."""

_OWN_TYPES = 16384
"""The types below this number are PostgreSQL's own: they are the same in every database of every server."""


class Patience(NamedTuple):
    """How long a connection is tried for, by all hosts together, and how long a statement may take; None: for ever."""

    connect_s: float = 10.0
    statement_s: float | None = 10.0


class _Asked(NamedTuple):
    """What asyncpg wants to know of the statement that asked for types."""

    name: str = "asked before"


class _Informed(asyncpg.Connection):  # it takes no argument while it runs
    """A connection of a process that asks once what PostgreSQL's own types are: each would ask again, several times."""

    _told: ClassVar[dict[frozenset[int], list[asyncpg.Record]]] = {}

    async def _introspect_types(self, typeoids: Iterable[int], timeout_s: float | None) -> tuple[Any, Any]:
        numbers = frozenset(typeoids)
        if numbers in self._told:
            return self._told[numbers], _Asked()
        types, statement = await super()._introspect_types(numbers, timeout_s)  # type: ignore[misc]
        if max(numbers) < _OWN_TYPES:
            self._told[numbers] = types
        return types, statement


class Hosts:
    """The hosts of a URL: one of them can be written, and which one may change. `settings` are those of the session.

    Raises `StoreError` for a URL that is none.
    """

    def __init__(self, url: str, patience: Patience = Patience(), **settings: str) -> None:  # noqa: B008 - frozen
        self._patience = patience
        self._settings = settings
        with _understood():
            parts = urlsplit(url)
        user, at, places = parts.netloc.rpartition("@")
        self._hosts = [(place, urlunsplit(parts._replace(netloc=f"{user}{at}{place}"))) for place in places.split(",")]

    async def connect(self) -> Connection:
        """Connect to the host that can be written, the last one that could first.

        One that swallows everything must not keep the next from being asked: each has its share of the time. Raises
        `StoreUnavailable` when there is none at the moment, with what each of several said.
        """
        patience = self._patience._replace(connect_s=self._patience.connect_s / len(self._hosts))
        failures: dict[str, StoreUnavailable] = {}
        for host in tuple(self._hosts):
            place, url = host
            try:
                connection = await _connect(url, patience, self._settings)
            except StoreUnavailable as unavailable:
                failures[place] = unavailable
                continue
            self._hosts.sort(key=lambda each: each != host)
            return connection
        *_, last = failures.values()
        if len(failures) == 1:
            raise last
        told = "; ".join(f"{place}: {failure.detail}" for place, failure in failures.items())
        raise StoreUnavailable(told) from last.__cause__


async def connect(url: str, patience: Patience = Patience(), **settings: str) -> Connection:  # noqa: B008 - frozen
    """Connect to the one of a URL's hosts that can be written."""
    return await Hosts(url, patience, **settings).connect()


async def _connect(url: str, patience: Patience, settings: Mapping[str, str]) -> Connection:
    limit_s = patience.statement_s
    try:
        with translated(), _understood():
            return await asyncpg.connect(
                url,
                timeout=patience.connect_s,
                command_timeout=None if limit_s is None else limit_s + ANSWER_S,
                statement_cache_size=1000,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=0,
                server_settings={**SETTINGS, **_limits(limit_s or 0), **settings},
                target_session_attrs=SessionAttribute.read_write,
                connection_class=_Informed,
            )
    except StoreUnavailable as away:
        why = away.__cause__
        if isinstance(why, FileNotFoundError):
            raise StoreUnavailable("a file or a socket that the database URL names is not there") from why
        if isinstance(why, OSError) and not isinstance(why, TimeoutError):
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {why}") from why
        raise


def _limits(statement_s: float) -> dict[str, str]:
    """Return the session's limits (ms; 0 is none): half of a statement's time may go into the wait for a lock."""
    return {
        "statement_timeout": f"{statement_s * 1000:.0f}",
        "lock_timeout": f"{statement_s * 500:.0f}",
    }


@contextmanager
def _understood() -> Iterator[None]:
    """Refuse a URL that nothing can be made of; what is said of it repeats no part of it, for a password may be one."""
    try:
        yield
    except (asyncpg.InterfaceError, OSError):  # some of them are `ValueError` too, as that of a wrong certificate is
        raise
    except ValueError:
        raise StoreError(
            "the database URL cannot be used: it must read postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a user or"
            " a password write % as %25, / as %2F, : as %3A, @ as %40, ? as %3F, # as %23"
        ) from None


@contextmanager
def translated() -> Iterator[None]:
    """Turn what asyncpg raises into a `StoreError`; nothing of asyncpg leaves this room."""
    try:
        yield
    except asyncpg.PostgresError as broken:
        raise named(broken) from broken
    except asyncpg.ClientConfigurationError as broken:
        raise StoreError(f"the database URL cannot be used: {broken}") from broken
    except asyncpg.DataError as broken:
        raise StoreError(f"PostgreSQL cannot store this value: {broken}") from broken
    except asyncpg.TargetServerAttributeNotMatched as broken:
        raise StoreUnavailable("no PostgreSQL of the database URL can be written at the moment") from broken
    except TimeoutError as broken:
        raise StoreUnavailable("PostgreSQL does not answer; is it reachable?") from broken
    except asyncpg.InternalClientError as broken:  # what it says is about asyncpg's own states
        raise StoreUnavailable("the connection to PostgreSQL is lost: it ended in the middle of an answer") from broken
    except (asyncpg.InterfaceError, OSError) as broken:
        raise StoreUnavailable(f"the connection to PostgreSQL is lost: {broken}") from broken


def named(broken: Any) -> StoreError:
    """Return the error of ours for one of PostgreSQL's."""
    state = broken.sqlstate or ""
    told = f"{broken} ({state})"
    if state == "25006":
        return StoreUnavailable("the PostgreSQL that answers is a standby or read-only; waiting for one to write to")
    if state == "53300":
        return StoreUnavailable(
            f"PostgreSQL takes no more connections: {told}; raise its max_connections, or lower"
            " RUNWRIGHT_DATABASE_POOL_MAX"
        )
    if state == "42704" and "runwright.organization" in told:
        return StoreUnavailable(NOT_TOLD)
    if state.startswith(_BUSY):
        return StoreUnavailable(f"PostgreSQL is not available: {told}")
    if state == "42501":
        return StoreReadOnly(f"the role of the database URL may not do this: {told}; grant it what it lacks")
    if state == "3D000" or state.startswith("28"):
        # While a server works, this is an outage like any other: somebody changes a password, or puts a backup back.
        return StoreUnavailable(f"PostgreSQL refused the connection: {told}; look at the database URL")
    if state in _SCHEMA:
        return SchemaMismatch(f"the database's schema is not that of this version: {told}")
    return StoreError(f"PostgreSQL failed: {told}")
