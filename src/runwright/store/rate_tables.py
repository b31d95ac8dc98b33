"""The schema of how often the runs of jobs may enter their queues. See `tables`."""

from sqlalchemy import Column, LargeBinary, Text

from runwright.store.columns import need, table

job_rates = table(
    "job_rates",
    Column("job_id", Text, primary_key=True, nullable=False),
    need("instants", LargeBinary),
    rowid=False,
    churns=True,
)
