"""The schema of what runs wait for: who waits for which signal, signals that nobody waited for yet, and who they start.

See `tables`.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text

from runwright.store.columns import need, table

signal_waits = table(
    "signal_waits",
    need("project_id", Text),
    need("event_key", Text),
    need("run_id", Text),
    PrimaryKeyConstraint("project_id", "event_key", "run_id"),
    rowid=False,
    churns=True,
)

kept_signals = table(
    "kept_signals",
    Column("signal_id", Text, primary_key=True, nullable=False),
    need("project_id", Text),
    need("event_key", Text),
    need("sealed", LargeBinary),
    need("created_at", BigInteger),
    Index("kept_signals_by_key", "project_id", "event_key", "signal_id"),
    Index("kept_signals_by_time", "created_at"),
)

job_triggers = table(
    "job_triggers",
    need("project_id", Text),
    need("by_prefix", Integer),
    need("pattern", Text),
    need("job_id", Text),
    PrimaryKeyConstraint("project_id", "by_prefix", "pattern", "job_id"),
    Index("job_triggers_by_job", "job_id"),
    rowid=False,
)
