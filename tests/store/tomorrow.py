"""The migrations that the next version might bring: one that the version before can live with, one that it cannot."""

from collections.abc import Sequence

from runwright.store import migrations
from runwright.store.migrations import Migration

EXPAND = """-- works with: {before}
-- More of everything that code of schema {before} writes to, and nothing that it must know of.
CREATE TABLE moods (mood_id TEXT PRIMARY KEY, name TEXT NOT NULL);
ALTER TABLE runs ADD COLUMN mood TEXT;
ALTER TABLE run_events ADD COLUMN mood TEXT;
ALTER TABLE run_values ADD COLUMN mood TEXT;
ALTER TABLE run_heads ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
ALTER TABLE attempts ADD COLUMN mood TEXT;
ALTER TABLE leases ADD COLUMN mood TEXT;
ALTER TABLE timers ADD COLUMN mood INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ready ADD COLUMN mood TEXT;
ALTER TABLE held ADD COLUMN mood TEXT;
ALTER TABLE limits ADD COLUMN mood TEXT;
ALTER TABLE turns ADD COLUMN mood TEXT;
ALTER TABLE idempotency ADD COLUMN mood TEXT;
ALTER TABLE inbox ADD COLUMN mood TEXT;
ALTER TABLE outbox ADD COLUMN mood TEXT;
ALTER TABLE jobs ADD COLUMN mood TEXT;
ALTER TABLE job_versions ADD COLUMN mood TEXT;
ALTER TABLE job_secrets ADD COLUMN mood TEXT;
ALTER TABLE organizations ADD COLUMN mood TEXT;
ALTER TABLE projects ADD COLUMN mood TEXT;
ALTER TABLE users ADD COLUMN mood TEXT;
ALTER TABLE members ADD COLUMN mood TEXT;
ALTER TABLE api_keys ADD COLUMN mood TEXT;
ALTER TABLE keyring ADD COLUMN mood TEXT;
ALTER TABLE audit ADD COLUMN mood TEXT;
ALTER TABLE audit_heads ADD COLUMN mood TEXT;
ALTER TABLE workers ADD COLUMN mood TEXT;
ALTER TABLE artifacts ADD COLUMN mood TEXT;
ALTER TABLE rollups ADD COLUMN mood TEXT;
ALTER TABLE depths ADD COLUMN mood TEXT;
ALTER TABLE kpi_runs ADD COLUMN mood TEXT;
ALTER TABLE kpi_sums ADD COLUMN mood TEXT;
ALTER TABLE paused_queues ADD COLUMN mood TEXT;
CREATE INDEX runs_by_mood ON runs (mood, run_id);
"""
CONTRACT = "-- What only code of this schema can live with.\nALTER TABLE runs RENAME COLUMN error TO last_error;\n"


def of_tomorrow(dialect: str, *texts: str) -> Sequence[Migration]:
    """Return what a later version knows: the migrations that there are, and one for each of these texts."""
    known = migrations.load(dialect)
    later = (
        migrations.read(f"{len(known) + number:04}_of_tomorrow.sql", text.format(before=len(known)).encode())
        for number, text in enumerate(texts, 1)
    )
    return (*known, *later)
