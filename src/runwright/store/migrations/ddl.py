"""Write the statements that the MetaData stands for: the first migration, and the yardstick of the tests."""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from runwright.store.approval_tables import approvals
from runwright.store.cluster_tables import blobs
from runwright.store.graph_tables import job_dependencies
from runwright.store.kpi_tables import kpi_runs
from runwright.store.memory_tables import job_memory
from runwright.store.operation_tables import rollups
from runwright.store.rate_tables import job_rates
from runwright.store.secret_tables import secrets
from runwright.store.spending_tables import budgets
from runwright.store.tables import runs
from runwright.store.tenancy_tables import organizations
from runwright.store.thread_tables import threads
from runwright.store.wait_tables import signal_waits
from runwright.store.webhook_tables import webhook_deliveries

# One MetaData, into which all modules draw: that they are imported here makes it whole.
_DRAWN = (
    runs,
    organizations,
    rollups,
    blobs,
    secrets,
    webhook_deliveries,
    job_dependencies,
    signal_waits,
    job_memory,
    job_rates,
    threads,
    budgets,
    kpi_runs,
    approvals,
)
(metadata,) = {table.metadata for table in _DRAWN}

PARTITIONED = tuple(
    table.name for table in metadata.sorted_tables if table.dialect_options["postgresql"]["partition_by"]
)
"""The tables that PostgreSQL cuts into months; see `store.postgres.partitions`."""

_DIALECTS: dict[str, type[Dialect]] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def tables(dialect: str) -> list[Table]:
    """Return the tables that a database of this dialect has, in the order of their names."""
    return [table for table in metadata.sorted_tables if table.info["only"] in (None, dialect)]


def statements(dialect: str) -> list[str]:
    """Return `CREATE TABLE` and `CREATE INDEX` for every table, in the order of the MetaData's names."""
    made = _DIALECTS[dialect]()
    written = []
    for table in tables(dialect):
        written.append(str(CreateTable(table).compile(dialect=made)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        written.extend(str(CreateIndex(index).compile(dialect=made)).strip() for index in indexes)
    if dialect == "postgresql":
        written.extend(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT" for name in PARTITIONED)
    return written
