"""Write a change set: every table in one statement, a data-modifying CTE for each field that is not empty.

All parts of such a statement see the database as it was before it, and none sees what another writes; so no two of them
may touch one row. They do not: births are new runs and `moved` old ones; a head is new, moved or gone; what leaves
`ready` or `held` leaves another place than what enters there. Where one key may stand in two fields, or twice in one
(a timer taken away and set anew, a value written twice), only the last word is written (`_Field.key`, `LAST_WORD`).
What must see what was written before it comes apart: limits that fell to zero, which look whether anybody is held by
them, and replays and payloads, whose run may have moved.

Who locks nothing here: the rows of a run stand under the lock of its head, keys and limits under their own. Only turns
are anybody's, and nobody waits for them: an old turn that another transaction is writing is left as that one makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Float, Integer, LargeBinary, Text

from runwright.store.base import ChangeSet
from runwright.store.postgres.connection import Connection
from runwright.store.postgres.escapes import escaped
from runwright.store.postgres.fields import DATED, FEW, FIELDS, FREED, JOINED, LAST_WORD, PAYLOADS, REPLAYS, Field

_ARRAYS = {Text: "text[]", Integer: "int[]", BigInteger: "bigint[]", Float: "float8[]", LargeBinary: "bytea[]"}
_FREE_TEXT = frozenset(
    {"message", "actor", "error", "error_class", "key", "scope", "limit_key", "held_by", "worker_id"}
)
"""The columns that hold what people and programs wrote: only there a U+0000 may stand."""


async def apply(connection: Connection, changes: ChangeSet, now: int) -> None:
    """Write a change set inside the open transaction."""
    limits = dict(changes.limits)
    freed = {key: limits.pop(key) for key, slots in changes.limits.items() if slots.used == 0}
    names: list[str] = []
    values: list[Any] = []
    for name, field in FIELDS.items():
        if name in ("limits", "limited"):
            items: Sequence[Any] = list(limits.items())
        else:
            items = _items(changes, "turns" if name == "turned" else name)
        if items:
            names.append(name)
            values += _arrays(field, items, now if name in DATED else None)
    if names:
        await connection.execute(_together(tuple(names)), *values)
    if freed:
        await connection.execute(_alone(FREED), *_arrays(FREED, list(freed.items())))
    if changes.payloads:
        await connection.execute(_alone(PAYLOADS), *_arrays(PAYLOADS, list(dict(changes.payloads).items())))
    if changes.joined:
        await connection.execute(_alone(JOINED), *_arrays(JOINED, list(changes.joined.items())))
    if changes.replays:
        await connection.execute(_alone(REPLAYS), *_arrays(REPLAYS, changes.replays, now))


def _items(changes: ChangeSet, name: str) -> Sequence[Any]:
    items = getattr(changes, name)
    if not items:
        return ()
    if isinstance(items, dict):
        return list(items.items())
    key = FIELDS[name].key
    if key is not None and len(items) > 1:
        return list({key(item): item for item in items}.values())
    if name in LAST_WORD:
        setter, of = LAST_WORD[name]
        anew = {FIELDS[setter].key(item) for item in getattr(changes, setter)}  # type: ignore[misc]
        return [item for item in dict.fromkeys(items) if of(item) not in anew] if anew else items
    return items  # type: ignore[no-any-return]


def _arrays(field: Field, items: Sequence[Any], at: int | None = None) -> list[Any]:
    """Return the items as one array for each column, with their smallest run id and number where asked for."""
    columns = [list(column) for column in zip(*map(field.row, items), strict=True)]
    # A shorter array is filled up with NULL, and each element costs time on its way: a third of them are nothing else.
    columns = [[] if column[0] is None and column.count(None) == len(column) else column for column in columns]
    if at is not None:
        columns.append([at] * len(items))
    for place, name in enumerate(field.columns):
        if name in _FREE_TEXT:
            columns[place] = list(map(escaped, columns[place]))
    return [*columns, min(columns[0]), len(items)] if field.floored else columns


def _written(field: Field, text: str, first: int) -> tuple[str, int]:
    """Return a text of a field as SQL whose parameters begin at a number, and the number after them."""
    types = [_ARRAYS[type(field.table.c[name].type)] for name in field.columns]
    numbers = range(first, first + len(types))
    arrays = ", ".join(f"${number}::{kind}" for number, kind in zip(numbers, types, strict=True))
    after = numbers.stop
    if field.floored:
        few = FEW.replace("{count}", f"${after + 1}::bigint")
        text = text.replace("{low}", f"${after}::text").replace("{rows}", few)
        after += 2
    return text.replace("{rows}", f"unnest({arrays}) AS n({', '.join(field.columns)})"), after


@lru_cache(maxsize=512)
def _together(names: tuple[str, ...]) -> str:
    parts, number = [], 1
    for name in names:
        first, field = number, FIELDS[name]
        texts = {f"write_{name} AS": field.sql}  # not `name`: that of a table would hide it
        if field.found:
            rows = f"found_{name} AS n"
            texts = {f"found_{name} AS MATERIALIZED": field.found} | {
                f"write_{name} AS": field.sql.replace("{rows}", rows),
                f"rewrite_{name} AS": field.anew.replace("{rows}", rows),
            }
        for part, text in texts.items():
            sql, number = _written(field, text, first)
            parts.append(f"{part} ({sql})")
    return f"WITH {', '.join(parts)} SELECT"


@lru_cache(maxsize=8)
def _alone(field: Field) -> str:
    return _written(field, field.sql, 1)[0]
