"""Statements of batch operations."""

from __future__ import annotations

from sqlalchemy import bindparam, delete

from runwright.domain.batch_operations import BatchOperation
from runwright.store.base import Row
from runwright.store.operation_tables import batch_operations
from runwright.store.queries.shapes import paging, rows
from runwright.store.query import Query

_of_org = batch_operations.c.org_id == bindparam("org_id")
_of_project = batch_operations.c.project_id == bindparam("project_id")
_key = batch_operations.c.batch_id

BATCH = Query(rows(batch_operations, BatchOperation, _key == bindparam("batch_id")))
BATCHES = paging(rows(batch_operations, BatchOperation, _of_org), _key)
BATCHES_OF_PROJECT = paging(rows(batch_operations, BatchOperation, _of_org, _of_project), _key)
FORGET_BATCHES = Query(delete(batch_operations).where(_key < bindparam("before")))


def batch(row: Row) -> BatchOperation:
    """Return the operation of a row."""
    return BatchOperation(**dict(zip(BatchOperation.__struct_fields__, row, strict=True)))
