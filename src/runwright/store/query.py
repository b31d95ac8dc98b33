"""SQLAlchemy Core as a language: a statement is written once and compiled once for each dialect.

The drivers run the compiled text themselves; no engine and no connection of SQLAlchemy exists here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ClauseElement

Dialect = Literal["sqlite", "postgresql"]

_DIALECTS = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}


class Query:
    """A statement with named parameters. Made at import time for fixed statements, per shape for dynamic ones."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, Sequence[str], Mapping[str, Any]]] = {}

    def bind(self, dialect: Dialect, params: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL text and its positional arguments for `dialect`; a missing parameter is a KeyError."""
        found = self._compiled.get(dialect)
        if found is None:
            compiled = self._statement.compile(dialect=_DIALECTS[dialect])
            written = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}  # type: ignore[attr-defined]
            found = (str(compiled), compiled.positiontup or (), written)  # type: ignore[attr-defined]
            self._compiled[dialect] = found
        text, names, defaults = found
        return text, tuple(params[name] if name in params else defaults[name] for name in names)
