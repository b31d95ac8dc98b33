"""The schema that only PostgreSQL has: artifacts, which lie in files otherwise, and moves into the database."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint

from runwright.store.columns import may, need, partial, table

blobs = table(
    "blobs",
    Column("blob_id", Text, primary_key=True, nullable=False),
    may("digest", Text),
    may("size", BigInteger),
    need("put_at", BigInteger),
    may("again_at", BigInteger),
    UniqueConstraint("digest", name="blobs_by_digest"),
    partial("blobs_incoming", "put_at", where="digest IS NULL"),
    only="postgresql",
)
"""An artifact, without a digest while it is being written; `again_at` tells that its bytes were put more than once."""

blob_parts = table(
    "blob_parts",
    need("blob_id", Text),
    need("part", Integer),
    need("data", LargeBinary),
    PrimaryKeyConstraint("blob_id", "part"),
    only="postgresql",
)

moves = table(
    "moves",
    Column("move_id", Text, primary_key=True, nullable=False),
    need("source", Text),
    need("moved_at", BigInteger),
    need("tables", LargeBinary),
    only="postgresql",
)
"""What was moved here by `runwright migrate-store`, written by the transaction that moved it."""
